//! Compiling: in a process of its own, and once.

use std::{
    fmt::Write,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use edgewit_harness::{Connection, Gateway, Load, Origin, Protocol, Setup, component, get, until};

use crate::common::{assert_status, plugin, through};
use crate::guest;

fn entries(setup: &Setup) -> Vec<PathBuf> {
    let folder = setup.state().join("compiled");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "cwasm")).collect()
}

fn from_cache(gateway: &Gateway) -> serde_json::Value {
    let plugins = gateway.admin_json("/v1/plugins");
    plugins["plugins"][0]["versions"][0]["configurations"][0]["from-cache"].clone()
}

fn marked(origin: &Origin) -> Setup {
    let toml = through(origin, "\"marker\"") + &plugin("marker", "config = { name = \"m\" }");
    Setup::new(toml).own_state().guest(guest::MARKER)
}

#[test]
fn a_component_is_compiled_once_and_a_tampered_entry_is_compiled_anew() {
    let origin = Origin::echo();
    let gateway = marked(&origin).start();
    assert_eq!(from_cache(&gateway), false);
    let gateway = gateway.stop().start();
    assert_eq!(from_cache(&gateway), true);
    assert_eq!(gateway.get("/").header("x-trail"), "m:response");
    let setup = gateway.stop();
    assert_eq!(entries(&setup).len(), 1);
    let entry = entries(&setup).remove(0);
    let whole = fs::read(&entry).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&entry, flipped).unwrap();
    let gateway = setup.start();
    gateway.log.wait_for(&["not ours: compiling anew"]);
    assert_eq!(from_cache(&gateway), false);
    assert_eq!(gateway.get("/").header("x-trail"), "m:response");
    assert!(fs::read(&entry).unwrap().len() == whole.len(), "the entry is good again");
    let setup = gateway.stop();
    fs::write(&entry, &whole[..40]).unwrap();
    let gateway = setup.start();
    assert_eq!(from_cache(&gateway), false);
    assert_eq!(gateway.get("/").header("x-trail"), "m:response");
}

#[test]
fn one_component_under_two_names_is_compiled_once() {
    let origin = Origin::echo();
    let both = "config = { name = \"m\" }";
    let toml = through(&origin, "\"marker\", \"other\"")
        + &plugin("marker", both)
        + &plugin("other", both);
    let setup = Setup::new(toml).own_state();
    let setup = setup.guest_as(guest::MARKER, "marker").guest_as(guest::MARKER, "other");
    let gateway = setup.start();
    let answer = gateway.get("/");
    assert_eq!(answer.all("x-trail"), ["m:response", "m:response"]);
    assert_eq!(entries(&gateway.stop()).len(), 1);
}

#[test]
fn the_cache_belongs_to_one_user() {
    use std::os::unix::fs::PermissionsExt;
    let origin = Origin::echo();
    let gateway = marked(&origin).start();
    let setup = gateway.stop();
    let folder = setup.state().join("compiled");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.clone()) & 0o077, 0);
    assert_eq!(mode(folder.join("key")), 0o600);
}

#[test]
fn native_code_in_the_plugin_folder_is_refused() {
    let origin = Origin::echo();
    let gateway = marked(&origin).start();
    let entry = fs::read(entries(gateway.setup()).remove(0)).unwrap();
    gateway.put(&entry, "marker");
    gateway.log.wait_for(&["plugin refused", "no WebAssembly component"]);
    assert_eq!(gateway.get("/").header("x-trail"), "m:response");
}

#[test]
fn a_compile_bomb_costs_its_own_process_and_traffic_goes_on() {
    let origin = Origin::echo();
    let gateway = marked(&origin).start();
    let judge = |reply: &edgewit_harness::Reply| match reply.header("x-trail") {
        "m:response" => Ok(()),
        other => Err(format!("{} {other:?}", reply.status)),
    };
    let load = Load::start(gateway.address(), Protocol::H1, 1, get("/"), judge);
    gateway.put(&bomb(), "marker");
    let line = gateway.log.wait_for_compiler(&["plugin refused", "E0406"]);
    assert!(line.contains("could not be compiled within its limits"), "{line}");
    load.let_pass(10);
    load.stop().assert_clean();
    assert_status(&gateway.get("/"), 200);
}

/// Requests of one measurement, of which there are so many. The medians are compared, so that what else the machine does
/// for a moment counts little.
const REQUESTS: usize = 200;
const WINDOWS: usize = 9;
/// A machine that is busy with other things for longer spoils both sides by turns.
const TRIES: usize = 4;

/// The time that one of a hundred requests exceeds, in each window; ends early if `goes_on` does not hold.
fn p99s(client: &mut Connection, goes_on: impl Fn() -> bool) -> Vec<Duration> {
    let mut all = Vec::new();
    while all.len() < WINDOWS && goes_on() {
        let mut times: Vec<_> = (0..REQUESTS)
            .map(|_| {
                let begun = Instant::now();
                assert_status(&client.send(get("/")), 200);
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        all.push(times[REQUESTS * 99 / 100 - 1]);
    }
    all.sort_unstable();
    all
}

#[test]
fn a_compile_bomb_hardly_slows_traffic() {
    let origin = Origin::echo();
    let gateway = marked(&origin).start();
    let mut client = gateway.connect();
    let mut seen = Vec::new();
    for n in 0..TRIES {
        let quiet = p99s(&mut client, || true);
        gateway.put(&[bomb(), vec![0, 2, 1, n as u8]].concat(), "marker");
        until("the compiler to work", || gateway.children().into_iter().next());
        let beside = p99s(&mut client, || !gateway.children().is_empty());
        assert!(beside.len() > 2, "it takes its time: {beside:?}");
        seen.push((quiet[quiet.len() / 2], beside[beside.len() / 2]));
        println!("p99 when quiet and beside a bomb: {seen:?}");
        until("the bomb's end", || gateway.children().is_empty().then_some(()));
        if seen[n].1 < 2 * seen[n].0 {
            return;
        }
    }
    panic!("p99 when quiet and beside a bomb: {seen:?}");
}

/// A small component that takes more than its share to compile: one function in which many values live across very
/// many branches.
pub(crate) fn bomb() -> Vec<u8> {
    const LOCALS: usize = 2_000;
    const BRANCHES: usize = 60_000;
    let mut body = String::new();
    for n in 0..BRANCHES {
        let (a, b) = (n % LOCALS, (n * 7 + 1) % LOCALS);
        let _ = write!(
            body,
            "(if (local.get $c) (then (local.set {} (i64.add (local.get {}) (local.get {})))))",
            a + 7,
            a + 7,
            b + 7
        );
    }
    let mut sum = String::new();
    for n in 0..LOCALS {
        let _ = write!(sum, "(local.set 7 (i64.add (local.get 7) (local.get {})))", n + 7);
    }
    let locals = "i64 ".repeat(LOCALS);
    component::of_wat(
        "with-request",
        &format!(
            r#"(module
                (memory (export "memory") 1)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
                (func (export "edgewit:filter/request@0.1.0#on-request")
                    (param $c i32) (param i32 i32 i32 i32 i32) (result i32) (local i32) (local {locals})
                    {body} {sum}
                    (i64.store (i32.const 8) (local.get 7))
                    (i32.const 0)))"#
        ),
    )
}
