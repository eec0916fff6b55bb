//! A component can carry requests with the answers that its author expects. They are played before it serves.

use std::fs;

use edgewit_harness::{Gateway, Origin, Setup, artifact, until};

use crate::common::{all, plugin, route, through, upstream};
use crate::guest;

/// A guest that carries these cases.
fn carrying(guest: &str, cases: &str) -> Vec<u8> {
    let mut component = fs::read(artifact::guest(guest)).unwrap();
    let name = b"edgewit:golden";
    let mut section = vec![u8::try_from(name.len()).unwrap()];
    section.extend(name);
    section.extend(cases.as_bytes());
    component.push(0);
    let mut size = section.len();
    while size >= 0x80 {
        component.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    component.push(u8::try_from(size).unwrap());
    component.extend(section);
    component
}

fn signs(version: &str) -> String {
    format!(
        "[[case]]\nname = 'it passes'\nexpect = {{ status = 200 }}\n\
         [[case]]\nname = 'it signs'\nexpect = {{ headers = {{ x-response-version = '{version}' }} }}\n"
    )
}

fn versioned(origin: &Origin) -> Gateway {
    Setup::new(through(origin, "\"version\"")).guest_as(guest::VERSION_ONE, "version").start()
}

#[test]
fn a_version_that_fails_its_golden_request_is_refused_and_names_it() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    gateway.put(&carrying(guest::VERSION_TWO, &signs("3")), "version");
    let line = gateway.log.wait_for(&["plugin refused", "E0408"]);
    for words in ["`it signs`", "expected 3, got 2"] {
        assert!(line.contains(words), "no {words} in {line}");
    }
    assert_eq!(gateway.get("/").header("x-response-version"), "1");
    gateway.put(&carrying(guest::VERSION_TWO, &signs("2")), "version");
    until("the good one", || (gateway.get("/").header("x-response-version") == "2").then_some(()));
}

#[test]
fn golden_requests_that_cannot_be_read_or_that_trap_refuse_the_version() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    let trap = "[[case]]\nname = 'boom'\nrequest = { headers = { x-act = 'request' } }\nexpect = { status = 200 }";
    let table = [
        (guest::VERSION_TWO, "no toml".to_owned(), "cannot be read"),
        (guest::VERSION_TWO, "[[case]]\nname = 'a'\n".repeat(33), "not 1 to 32"),
        (guest::TRAP, trap.to_owned(), "`boom`"),
    ];
    for (guest, cases, words) in table {
        gateway.put(&carrying(guest, &cases), "version");
        gateway.log.wait_for(&["plugin refused", "E0408", words]);
        assert_eq!(gateway.get("/").header("x-response-version"), "1");
    }
}

#[test]
fn golden_requests_leave_no_trace_in_the_stores_of_the_plugin() {
    let origin = Origin::echo();
    let toml = all([
        upstream("origin", &origin),
        route("all", "/{*rest}", "\"tally\""),
        plugin("tally", "allow = { kv = true }"),
    ]);
    let cases = "[[case]]\nname = 'a'\nexpect = { status = 200 }\n".repeat(8);
    let setup = Setup::new(toml).file("plugins/tally.wasm", carrying(guest::TALLY, &cases));
    let gateway = setup.start();
    assert_eq!(gateway.get("/").header("x-tally"), "/ 1 first /", "nobody was there before");
}
