//! Swaps from all sides at the same time: the folder's watcher, SIGHUP and the administration endpoint, on a plugin that fifty
//! routes share, while half of the traffic streams through it.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use edgewit_harness::{
    Ask, Connection, Gateway, Load, Origin, Protocol, Reply, Setup, artifact, get, post, until,
};
use rustix::process::Signal;

use crate::common::{route, upstream, with};
use crate::guest;

const ROUTES: u32 = 50;
const ROUNDS: u32 = 200;
/// Rounds before memory counts: pools and caches have their size then.
const WARM: u32 = 50;

/// Head and body of one exchange saw one version.
fn one_version(reply: &Reply) -> Result<(), String> {
    let (request, response) =
        (reply.echoed("x-request-version"), reply.header("x-response-version"));
    match request.as_str() {
        "1" | "2" if reply.status == 200 && request == response => Ok(()),
        _ => Err(format!("{} request {request:?}, response {response:?}", reply.status)),
    }
}

/// The same where the filter signs the body, too: each `?` of it.
fn one_version_in_body(reply: &Reply) -> Result<(), String> {
    one_version(reply)?;
    let (text, version) = (reply.text(), reply.header("x-response-version"));
    let signed = format!("/signed{version}a={version}");
    if text.contains(&signed) { Ok(()) } else { Err(format!("no {signed} in {text}")) }
}

fn send(gateway: &Gateway, ask: Ask, kind: &str) -> Reply {
    let ask = ask.header("x-edgewit-admin", "1").header("content-type", kind);
    Connection::open(gateway.admin(), Protocol::H1).send(ask)
}

/// Sends the other version and lets it serve. Whatever the others do meanwhile, the answer is one of these.
fn swap_by_command(gateway: &Gateway, n: u32) {
    let guest = if n.is_multiple_of(2) { guest::VERSION_TWO } else { guest::VERSION_ONE };
    let bytes = fs::read(artifact::guest(guest)).unwrap();
    let sent = send(gateway, post("/v1/plugins/version/versions", bytes), "application/wasm");
    assert_eq!(sent.status, 201, "{}", sent.text());
    let body = format!("{{\"version\": {}}}", sent.json()["digest"]);
    let swapped = send(gateway, post("/v1/plugins/version:swap", body), "application/json");
    assert!([200, 409].contains(&swapped.status), "{}", swapped.text());
}

#[test]
fn swaps_from_all_sides_lose_nothing_and_mix_nothing() {
    let origin = Origin::echo();
    let mut toml = upstream("origin", &origin);
    for n in 0..ROUTES {
        toml += &route(&format!("r{n}"), &format!("/r{n}"), "\"version\"");
    }
    toml += &route("signed", "/signed", &with("version", "body = true"));
    toml += "[telemetry]\naccess-log = \"off\"\nlog = { level = \"error\" }\n";
    let gateway = Setup::new(toml).guest_as(guest::VERSION_ONE, "version").start();
    let loads = [
        Load::start(gateway.address(), Protocol::H1, 1, get("/r7"), one_version),
        Load::start(gateway.address(), Protocol::H2, 1, get("/r49"), one_version),
        Load::start(gateway.address(), Protocol::H1, 1, get("/signed?a=?"), one_version_in_body),
        Load::start(gateway.address(), Protocol::H2, 1, get("/signed?a=?"), one_version_in_body),
    ];
    loads.iter().for_each(|load| load.let_pass(20));
    let done = AtomicBool::new(false);
    let mut memory = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if done.load(Relaxed) {
                    break;
                }
                let guest = if n % 2 == 0 { guest::VERSION_TWO } else { guest::VERSION_ONE };
                gateway.put_guest(guest, "version");
                thread::sleep(Duration::from_millis(120)); // the watcher wants it to be at rest
            }
        });
        scope.spawn(|| {
            while !done.load(Relaxed) {
                gateway.signal(Signal::HUP);
                thread::sleep(Duration::from_millis(70));
            }
        });
        for n in 0..ROUNDS {
            swap_by_command(&gateway, n);
            if n == WARM {
                memory = gateway.memory();
            }
        }
        done.store(true, Relaxed);
    });
    for load in loads {
        let loaded = load.stop();
        assert!(loaded.failed.is_empty(), "{:#?}\n{:#?}", loaded.failed, gateway.log.all());
        assert!(loaded.requests > 100, "there was load: {}", loaded.requests);
    }
    assert!(gateway.generation() > u64::from(ROUNDS), "{}", gateway.generation());
    // The last word has the file.
    gateway.put_guest(guest::COUNTER, "version");
    until("the file to serve", || (!gateway.get("/r0").header("x-count").is_empty()).then_some(()));
    for n in 1..ROUTES {
        assert!(!gateway.get(&format!("/r{n}")).header("x-count").is_empty(), "route {n}");
    }
    let standing = gateway.admin_json("/v1/plugins/version")["standing"].clone();
    assert_eq!((&standing["pinned"], &standing["astray"]), (&false.into(), &false.into()));
    let bound = memory + memory * 15 / 100 + (8 << 20);
    until("memory to be back", || (gateway.memory() <= bound).then_some(()));
}
