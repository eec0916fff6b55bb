//! The administration endpoint.

use edgewit_harness::{Connection, Gateway, Protocol, Raw, Setup, ask};

use crate::common::plugin;
use crate::guest;

fn gateway() -> Gateway {
    let toml = "[routes.all]\nmatch = \"/\"\nrespond = {}\nfilters = [\"marker\"]\n".to_owned()
        + &plugin("marker", "config = { name = \"m\" }");
    Setup::new(toml).guest(guest::MARKER).guest_as(guest::COUNTER, "unused").start()
}

#[test]
fn it_says_that_it_lives_and_is_ready() {
    let gateway = gateway();
    for (path, body) in [("/livez", "alive\n"), ("/readyz", "ready\n")] {
        let reply = gateway.ask_admin(path);
        assert_eq!((reply.status, reply.text().as_str()), (200, body));
    }
    assert!(gateway.ask_admin("/metrics").header("content-type").contains("text"));
}

#[test]
fn status_tells_what_runs() {
    let gateway = gateway();
    let status = gateway.admin_json("/v1/status");
    assert_eq!((&status["state"], &status["generation"]), (&"ready".into(), &1.into()));
    assert_eq!(status["counts"]["routes"], 1);
    assert_eq!(status["counts"]["plugins"], 1);
    assert_eq!(status["listeners"]["web"], format!("http://{}", gateway.address()));
    assert_eq!(status["admin"], gateway.admin().to_string());
}

#[test]
fn plugins_are_listed_with_their_versions() {
    let gateway = gateway();
    let all = gateway.admin_json("/v1/plugins");
    let named = |name: &str| {
        all["plugins"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap()["versions"]
            [0]
        .clone()
    };
    let (marker, unused) = (named("marker"), named("unused"));
    assert_eq!((&marker["state"], &unused["state"]), (&"active".into(), &"unused".into()));
    let configuration = &marker["configurations"][0];
    assert_eq!(
        configuration["phases"],
        serde_json::json!(["auth", "routing", "request", "response"])
    );
    assert_eq!(configuration["isolation"], "request");
    assert_eq!(configuration["capabilities"], serde_json::json!([]));
    assert_eq!(marker["digest"].as_str().map(|d| d.trim_start_matches("sha256:").len()), Some(64));
}

#[test]
fn it_only_reads_and_only_for_this_machine() {
    let gateway = gateway();
    let mut connection = Connection::open(gateway.admin(), Protocol::H1);
    for (method, path, status) in
        [("GET", "/nothing", 404), ("POST", "/v1/status", 405), ("HEAD", "/livez", 200)]
    {
        assert_eq!(connection.send(ask(method, path)).status, status, "{method} {path}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example"] {
        let mut rebound = Raw::connect(gateway.admin());
        rebound.write(format!(
            "GET /v1/plugins HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        ));
        let reply = rebound.read_to_end();
        assert!(!reply.starts_with("HTTP/1.1 200") && !reply.contains("marker"), "{reply}");
    }
    let elsewhere = Setup::new("").file("edgewit.toml", "[admin]\nlisten = \"0.0.0.0:0\"\n");
    let said = edgewit_harness::program::run(
        std::process::Command::new(edgewit_harness::program::path())
            .arg("check")
            .current_dir(elsewhere.path()),
    );
    assert!(said.failed().contains("loopback"), "an address that others reach is refused");
}
