//! Faults of the machine and of its operator: what belongs to the server is killed, removed, full or not permitted. The process
//! goes on, says what is wrong, and the next request is answered.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use edgewit_harness::{Gateway, Origin, Setup, get, program, until};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{assert_status, through};
use crate::compile::bomb;
use crate::guest;

fn versioned(origin: &Origin) -> Setup {
    Setup::new(through(origin, "\"version\"")).own_state().guest_as(guest::VERSION_ONE, "version")
}

fn version(gateway: &Gateway) -> String {
    let reply = gateway.get("/");
    assert_status(&reply, 200);
    reply.header("x-response-version").to_owned()
}

#[track_caller]
fn wait_for_version(gateway: &Gateway, wanted: &str) {
    until(&format!("version {wanted}"), || (version(gateway) == wanted).then_some(()));
}

#[track_caller]
fn assert_no_panic(gateway: &Gateway) {
    let panics = gateway.log.with(&["panick"]);
    assert!(panics.is_empty(), "{panics:#?}");
}

/// A program that starts the one under test as a line of shell wants it.
fn wrapped(setup: Setup, line: &str) -> Setup {
    let line = line.replace("PROGRAM", &program::path().display().to_string());
    let setup = setup.file("wrapper", format!("#!/bin/sh\n{line}\n")).program("wrapper");
    let wrapper = setup.path().join("wrapper");
    fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    setup
}

/// Kills the process that compiles, as soon as there is another than `known`.
fn kill_compiler(gateway: &Gateway, known: Option<Pid>) -> Pid {
    let is_new = |pid: &Pid| Some(*pid) != known;
    let compiler = until("a compiler", || gateway.children().into_iter().find(is_new));
    kill_process(compiler, Signal::KILL).unwrap();
    compiler
}

#[test]
fn a_compiler_that_is_killed_once_is_tried_again_and_twice_is_told() {
    let origin = Origin::echo();
    let gateway = versioned(&origin).start();
    gateway.put(&bomb(), "version"); // works long enough to be found
    let first = kill_compiler(&gateway, None);
    gateway.log.wait_for(&["somebody killed the compiler process, trying again"]);
    kill_compiler(&gateway, Some(first));
    gateway.log.wait_for(&["plugin refused", "E0407", "somebody killed the compiler process"]);
    assert_eq!(version(&gateway), "1");
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
    assert_no_panic(&gateway);
}

#[test]
fn a_reload_that_is_wanted_during_the_start_is_done_afterwards() {
    let origin = Origin::echo();
    let setup = versioned(&origin);
    let more = "[routes.later]\nmatch = \"/later\"\nrespond = { status = 418 }\n";
    let later = setup.toml(&(through(&origin, "\"version\"") + more));
    let setup = setup.file("later.toml", later);
    // Once there is a compiler, the configuration has been read, and nothing serves yet.
    let line = format!(
        "(while [ -e /proc/$$ ]; do set -- $(cat /proc/$$/task/*/children); [ $# -ge 2 ] && break; sleep 0.01; done\n\
         cp later.toml {}; kill -HUP $$) &\nexec PROGRAM \"$@\"",
        setup.config().display()
    );
    let gateway = wrapped(setup, &line).start();
    until("the reload", || (gateway.get("/later").status == 418).then_some(()));
}

#[test]
fn a_compiler_ends_with_its_server() {
    let origin = Origin::echo();
    let gateway = versioned(&origin).start();
    gateway.put(&bomb(), "version");
    let compiler = until("a compiler", || gateway.children().into_iter().next());
    let process = Path::new("/proc").join(compiler.as_raw_nonzero().to_string());
    drop(gateway.stop());
    // Whoever adopts it may not have asked for its end yet: then there is nothing left but its name.
    until("the compiler to be gone", || {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    });
}

fn compiled(setup: &Setup) -> PathBuf {
    setup.state().join("compiled")
}

fn entries(setup: &Setup) -> usize {
    let names = fs::read_dir(compiled(setup)).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).count()
}

#[test]
fn a_cache_that_is_removed_is_made_again() {
    let origin = Origin::echo();
    let gateway = versioned(&origin).start();
    fs::remove_dir_all(gateway.setup().state()).unwrap();
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
    assert_eq!(entries(gateway.setup()), 1);
    let folder = compiled(gateway.setup());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("key"))), (0o700, 0o600));
    // The next process believes what this one has kept.
    let gateway = gateway.stop().start();
    let plugins = gateway.admin_json("/v1/plugins");
    let of = &plugins["plugins"][0]["versions"][0]["configurations"][0];
    assert_eq!(of["from-cache"], true, "{plugins}");
    assert_no_panic(&gateway);
}

#[test]
fn a_cache_that_cannot_be_written_costs_nothing_but_time() {
    let origin = Origin::echo();
    let gateway = versioned(&origin).start();
    // Something else has its name.
    fs::remove_dir_all(compiled(gateway.setup())).unwrap();
    fs::write(compiled(gateway.setup()), "no folder").unwrap();
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
    gateway.log.wait_for(&["could not keep a compiled plugin"]);
    assert_no_panic(&gateway);
    // Neither is it a reason not to start.
    let gateway = gateway.stop().start();
    gateway.log.wait_for(&["compiled plugins are not kept for the next start"]);
    assert_eq!(version(&gateway), "2");
}

/// Can a process of this user have disks of its own? Containers may forbid it.
fn may_mount() -> bool {
    let mount = ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"];
    let may = Command::new("unshare").args(mount).status().is_ok_and(|status| status.success());
    if !may {
        eprintln!("left out: this user may not mount a small disk");
    }
    may
}

/// A server whose state folder is a disk of its own, on which there is already a file of so many bytes.
fn on_a_disk(setup: Setup, size: u32, filled: u32) -> Setup {
    fs::create_dir_all(setup.state()).unwrap();
    let (state, program) = (setup.state().display(), program::path());
    let script = format!(
        "set -e\nmount -t tmpfs -o size={size} none '{state}'\n\
         head -c {filled} /dev/zero > '{state}/filled'\nexec '{}' \"$@\"\n",
        program.display()
    );
    let setup = setup.file("mounted", script);
    let script = setup.path().join("mounted").display().to_string();
    wrapped(setup, &format!("exec unshare -rm sh '{script}' \"$@\""))
}

#[test]
fn a_full_disk_costs_nothing_but_time() {
    if !may_mount() {
        return;
    }
    let origin = Origin::echo();
    // There is room for the key, but for no entry.
    let gateway = on_a_disk(versioned(&origin), 16 << 10, 0).start();
    gateway.log.wait_for(&["could not keep a compiled plugin", "No space left"]);
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
    assert_no_panic(&gateway);
    // There is no room for anything.
    let gateway = on_a_disk(versioned(&origin), 16 << 10, 16 << 10).start();
    gateway.log.wait_for(&["compiled plugins are not kept for the next start", "No space left"]);
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
    assert_no_panic(&gateway);
}

#[test]
fn logs_that_nobody_takes_stop_nothing() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"version\", \"trap\"")
        + "[telemetry]\naccess-log.file = \"/dev/full\"\n";
    let setup = Setup::new(toml).guest_as(guest::VERSION_ONE, "version").guest(guest::TRAP);
    // Standard error has no reader from the beginning.
    let gateway = wrapped(setup, "exec 2>/dev/full; exec PROGRAM \"$@\"").start();
    let act = || gateway.send(get("/").header("x-act", "request")).assert_problem(503);
    act();
    gateway.put(b"no component", "version");
    let refused = [("plugin", "version"), ("result", "refused")];
    until("a refusal", || {
        (gateway.metrics().sum("edgewit_plugin_swaps_total", &refused) > 0.0).then_some(())
    });
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
    act();
    gateway.reload();
    assert_eq!(version(&gateway), "2");
}
