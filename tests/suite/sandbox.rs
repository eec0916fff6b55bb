//! There is nothing outside the sandbox.

use std::net::TcpListener;

use edgewit_harness::{Setup, get};

use crate::common::assert_status;
use crate::guest;

const ROUTE: &str = "[routes.all]\nmatch = \"/{*rest}\"\nrespond = {}\nfilters = [\"outside\"]\n";

#[test]
fn files_and_sockets_are_out_of_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let gateway = Setup::new(ROUTE).file("secret", "secret").guest(guest::OUTSIDE).start();
    let secret = gateway.setup().path().join("secret").display().to_string();
    let written = gateway.setup().path().join("written").display().to_string();
    let connect = listener.local_addr().unwrap().to_string();
    let roads = [
        ("read", secret.as_str()),
        ("read", "secret"),
        ("read", "/etc/hostname"),
        ("write", written.as_str()),
        ("write", "written"),
        ("folder", "/"),
        ("folder", "."),
        ("connect", connect.as_str()),
        ("listen", "127.0.0.1:0"),
    ];
    for (road, target) in roads {
        let reply = gateway.get(&format!("/{road}?{target}"));
        match reply.status {
            200 => {
                assert!(reply.text().starts_with("refused: "), "{road} {target}: {}", reply.text())
            }
            _ => reply.assert_problem(503),
        }
    }
    assert!(!gateway.setup().path().join("written").exists());
    assert!(listener.accept().is_err(), "nobody connected");
}

#[test]
fn the_environment_is_empty() {
    let gateway = Setup::new(ROUTE).guest(guest::OUTSIDE).start();
    let reply = gateway.get("/environment");
    assert_eq!((reply.status, reply.text().as_str()), (200, "0 variables, 0 arguments"));
}

#[test]
fn what_a_guest_prints_goes_to_the_log_at_level_debug() {
    let toml = ROUTE.to_owned() + "[telemetry]\nlog = { level = \"edgewit::plugin=debug\" }\n";
    let gateway = Setup::new(toml).guest(guest::OUTSIDE).start();
    assert_status(&gateway.get("/print"), 200);
    for words in ["printed by a guest", "an error printed by a guest"] {
        let line = gateway.log.wait_for(&[words]);
        assert!(line.contains("outside"), "{line}");
    }
    assert!(gateway.access.with(&["printed by"]).is_empty());
}

#[test]
fn a_guest_that_sleeps_is_stopped_at_once() {
    let toml = "[routes.all]\nmatch = \"/\"\nrespond = {}\nfilters = [\"sleeper\"]\n\
                [routes.free]\nmatch = \"/free\"\nrespond = {}\n";
    let gateway = Setup::new(toml).guest(guest::SLEEPER).start();
    gateway.send(get("/")).assert_problem(503);
    gateway.log.wait_for(&["filter stopped", "filters cannot wait in WASI"]);
    assert_status(&gateway.get("/free"), 200);
}
