//! A new version that is stopped much more often than the one before does not stay.

use std::time::{Duration, Instant};

use edgewit_harness::{Gateway, Origin, Setup, get, until};

use crate::common::{assert_status, plugin, through};
use crate::guest;

fn versioned(origin: &Origin, keys: &str) -> Gateway {
    let toml = through(origin, "\"version\"") + &plugin("version", keys);
    Setup::new(toml).guest_as(guest::VERSION_ONE, "version").start()
}

/// A request that the good versions do not mind and that the bad one traps on.
fn version(gateway: &Gateway) -> (u16, String) {
    let reply = gateway.send(get("/").header("x-act", "request"));
    (reply.status, reply.header("x-response-version").to_owned())
}

/// Puts a version that traps in the place of one that does not.
fn put_bad(gateway: &Gateway) {
    for _ in 0..20 {
        assert_eq!(version(gateway), (200, "1".to_owned()));
    }
    gateway.put_guest(guest::TRAP, "version");
    gateway.log.wait_for(&["plugin swapped"]);
}

fn rolled_back(gateway: &Gateway) -> f64 {
    let labels = [("plugin", "version"), ("result", "rolled-back")];
    gateway.metrics().sum("edgewit_plugin_swaps_total", &labels)
}

#[test]
fn the_version_before_comes_back_and_the_bad_file_is_not_taken_again() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "quarantine = \"off\"");
    put_bad(&gateway);
    until("the version before", || (version(&gateway) == (200, "1".to_owned())).then_some(()));
    gateway.log.wait_for(&["ERROR", "plugin rolled back", "E0452"]);
    assert_eq!(rolled_back(&gateway), 1.0);
    let plugin = gateway.admin_json("/v1/plugins/version");
    let states: Vec<_> =
        plugin["versions"].as_array().unwrap().iter().map(|v| &v["state"]).collect();
    assert_eq!(states, ["active", "rolled-back"]);
    assert_eq!(
        (&plugin["standing"]["pinned"], &plugin["standing"]["previous"]),
        (&true.into(), &().into())
    );
    let events = gateway.admin_json("/v1/events").to_string();
    assert!(events.contains("serves again until the file changes"), "{events}");

    gateway.reload();
    assert_eq!(version(&gateway), (200, "1".to_owned()), "the file is still the bad one");
    gateway.put_guest(guest::VERSION_TWO, "version");
    until("another file", || (version(&gateway) == (200, "2".to_owned())).then_some(()));
    assert_eq!(rolled_back(&gateway), 1.0);
}

#[test]
fn a_version_that_goes_into_quarantine_on_probation_is_rolled_back() {
    let origin = Origin::echo();
    let keys = "quarantine = { stops = 3, window = \"60s\", probe = \"1h\" }";
    let gateway = versioned(&origin, keys);
    put_bad(&gateway);
    for _ in 0..3 {
        assert_eq!(version(&gateway).0, 503);
    }
    gateway.log.wait_for(&["plugin in quarantine"]);
    gateway.log.wait_for(&["plugin rolled back"]);
    assert_eq!(version(&gateway), (200, "1".to_owned()));
    let standing = gateway.admin_json("/v1/plugins/version")["standing"].clone();
    assert_eq!(standing["quarantined"], false, "the version that serves is well");
}

#[test]
fn without_fallback_the_new_version_stays() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "quarantine = \"off\"\nfallback = false");
    put_bad(&gateway);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(version(&gateway).0, 503);
    }
    assert_eq!(rolled_back(&gateway), 0.0);
}

#[test]
fn a_new_version_that_is_well_stays() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "");
    gateway.put_guest(guest::VERSION_TWO, "version");
    gateway.log.wait_for(&["plugin swapped"]);
    for _ in 0..250 {
        assert_status(&gateway.get("/"), 200);
    }
    assert_eq!((version(&gateway).1, rolled_back(&gateway)), ("2".to_owned(), 0.0));
}
