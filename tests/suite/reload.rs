//! The configuration changes under a running gateway.

use std::{fs, os::unix::fs::symlink};

use edgewit_harness::{Gateway, Origin, Setup, until};
use rustix::process::Signal;

use crate::common::{assert_status, through};
use crate::guest;

const FIXED: &str = "[routes.all]\nmatch = \"/\"\nrespond = { body = \"BODY\" }\n";

fn body(text: &str) -> String {
    FIXED.replace("BODY", text)
}

#[track_caller]
fn wait_for_body(gateway: &Gateway, text: &str) {
    until(&format!("the body {text}"), || (gateway.get("/").text() == text).then_some(()));
}

#[test]
fn a_bad_configuration_is_refused_whole_and_the_old_one_serves_on() {
    let gateway = Setup::new(body("old")).start();
    let table = [
        ("[routes.all", "E01"),
        (
            "[routes.all]\nmatch = \"/\"\nrespond = { body = \"new\" }\nunknown = 1\n",
            "unknown key `unknown`",
        ),
        ("[routes.all]\nmatch = \"/\"\nupstream = \"nowhere\"\n", "nowhere"),
        ("[routes.all]\nmatch = \"/\"\nrespond = {}\nfilters = [\"missing\"]\n", "missing"),
        (
            "[routes.a]\nmatch = \"/\"\nrespond = {}\n[routes.b]\nmatch = \"/\"\nrespond = {}\n",
            "same requests",
        ),
    ];
    for (toml, words) in table {
        gateway.write(toml);
        gateway.signal(Signal::HUP);
        gateway.log.wait_for(&["configuration refused, the old one serves on", words]);
        assert_eq!(gateway.get("/").text(), "old");
        assert_eq!(gateway.generation(), 1);
        assert_eq!(gateway.metrics().sum("edgewit_config_last_reload_successful", &[]), 0.0);
        let last = gateway.admin_json("/v1/status")["last-reload"].clone();
        assert_eq!(last["successful"], false);
        assert!(last["diagnostics"].to_string().contains("edgewit.toml"), "{last}");
    }
    gateway.write(&body("new"));
    gateway.reload();
    assert_eq!(gateway.get("/").text(), "new");
    assert_eq!(gateway.metrics().sum("edgewit_config_last_reload_successful", &[]), 1.0);
}

#[test]
fn a_reload_needs_nobody_where_files_are_watched() {
    let gateway = Setup::new(body("old")).argument("--watch").start();
    gateway.write(&body("new"));
    wait_for_body(&gateway, "new");
    gateway.write("[routes.all");
    gateway.log.wait_for(&["configuration refused"]);
    assert_eq!(gateway.get("/").text(), "new");
    gateway.write(&body("newer"));
    wait_for_body(&gateway, "newer");
}

#[test]
fn a_configuration_behind_a_swapped_symlink_is_seen() {
    let setup = Setup::new("");
    for (folder, text) in [("..one", "one"), ("..two", "two")] {
        fs::create_dir(setup.path().join(folder)).unwrap();
        fs::write(setup.path().join(folder).join("routes.toml"), body(text)).unwrap();
    }
    symlink("..one", setup.path().join("..data")).unwrap();
    symlink("..data/routes.toml", setup.path().join("routes.toml")).unwrap();
    let gateway = Setup::new("include = [\"routes.toml\"]\n");
    let folder = setup.path().to_path_buf();
    symlink(folder.join("routes.toml"), gateway.path().join("routes.toml")).unwrap();
    let gateway = gateway.argument("--watch").start();
    assert_eq!(gateway.get("/").text(), "one");
    symlink("..two", folder.join("..aside")).unwrap();
    fs::rename(folder.join("..aside"), folder.join("..data")).unwrap();
    wait_for_body(&gateway, "two");
}

#[test]
fn a_request_in_flight_outlives_its_route() {
    let (origin, mut streams) = Origin::streaming();
    let toml = through(&origin, "\"version\"");
    let gateway = Setup::new(toml).guest_as(guest::VERSION_ONE, "version").start();
    let mut client = gateway.raw();
    client.write("GET /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let parts = until("the origin to be asked", || streams.try_recv().ok());
    parts.send(Ok(hyper::body::Frame::data("first".into()))).unwrap();
    client.read_until("first");
    gateway.write(&body("new"));
    gateway.reload();
    assert_eq!(gateway.get("/long").status, 404, "the route is gone for others");
    assert_status(&gateway.get("/"), 200);
    parts.send(Ok(hyper::body::Frame::data("second".into()))).unwrap();
    client.read_until("second");
    drop(parts);
    assert!(client.read_to_end().ends_with("0\r\n\r\n"));
}

#[test]
fn a_listener_that_comes_is_opened_and_one_that_goes_is_closed() {
    let gateway = Setup::new(body("old")).start();
    let old = gateway.address();
    let other = gateway.setup().toml(&body("new")).replace("[listeners.web]", "[listeners.other]");
    fs::write(gateway.setup().config(), other).unwrap();
    gateway.reload();
    let listeners = gateway.admin_json("/v1/status")["listeners"].clone();
    let url = listeners["other"].as_str().unwrap();
    let address = url.trim_start_matches("http://").parse().unwrap();
    let mut connection = edgewit_harness::Connection::open(address, edgewit_harness::Protocol::H1);
    assert_eq!(connection.send(edgewit_harness::get("/")).text(), "new");
    until("the old listener to close", || std::net::TcpStream::connect(old).is_err().then_some(()));
}

#[test]
fn a_start_with_a_bad_configuration_says_everything_that_is_wrong() {
    let setup = Setup::new(
        "[routes.a]\nmatch = \"/\"\nupstream = \"nowhere\"\nfilters = [\"no\"]\ntimeout = \"5 sec\"\n",
    );
    let said = setup.run(&["run"]).failed();
    for words in
        ["no upstream named `nowhere`", "unknown unit", "edgewit.toml:3:", "edgewit.toml:5:"]
    {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
}
