//! A filter that keeps being stopped is not called any more, until a request that tries finds it well again.

use edgewit_harness::{Gateway, Origin, Setup, get, until};

use crate::common::{assert_status, plugin, through};
use crate::guest;

const BAD: u16 = 503;

/// One route through a filter that traps if the request wants it.
fn trapping(origin: &Origin, keys: &str) -> Gateway {
    let toml = through(origin, "\"trap\"") + &plugin("trap", keys);
    Setup::new(toml).guest(guest::TRAP).start()
}

fn bad(gateway: &Gateway) -> u16 {
    gateway.send(get("/").header("x-act", "request")).status
}

fn quarantined(gateway: &Gateway) -> (bool, f64) {
    let standing = &gateway.admin_json("/v1/plugins/trap")["standing"];
    let metric = gateway.metrics().sum("edgewit_plugin_quarantined", &[("plugin", "trap")]);
    (standing["quarantined"].as_bool().unwrap(), metric)
}

fn held(gateway: &Gateway) -> f64 {
    let labels = [("plugin", "trap"), ("reason", "quarantine")];
    gateway.metrics().sum("edgewit_filter_stops_total", &labels)
}

#[test]
fn a_filter_that_keeps_trapping_fails_closed_without_being_called_and_comes_back() {
    let origin = Origin::echo();
    let gateway = trapping(&origin, "quarantine = { stops = 5, window = \"60s\", probe = \"3s\" }");
    assert_eq!(quarantined(&gateway), (false, 0.0));
    for n in 0..5 {
        assert_eq!(bad(&gateway), BAD, "{n}");
    }
    gateway.log.wait_for(&["plugin in quarantine", "trap", "E0451"]);
    assert_eq!(quarantined(&gateway), (true, 1.0));
    // A good request would come through now; it is not let to, since the filter authenticates and is not called.
    until("requests to be refused without a call", || {
        let reply = gateway.get("/");
        assert!(reply.status == BAD || held(&gateway) > 0.0, "{reply:?}");
        (held(&gateway) > 0.0).then_some(())
    });
    let stops = gateway.metrics().sum("edgewit_filter_stops_total", &[("reason", "trap")]);
    assert_eq!(stops, 5.0);
    until("a request to try", || (gateway.get("/").status == 200).then_some(()));
    gateway.log.wait_for(&["plugin out of quarantine"]);
    assert_eq!(quarantined(&gateway), (false, 0.0));
    assert_status(&gateway.get("/"), 200);
    let events = gateway.admin_json("/v1/events").to_string();
    assert!(events.contains("\"quarantine\"") && events.contains("called again"), "{events}");
}

#[test]
fn a_filter_that_is_skipped_on_errors_is_skipped_in_quarantine() {
    let origin = Origin::echo();
    let keys = "on-error = \"skip-even-auth\"\nquarantine = { stops = 3, window = \"60s\", probe = \"1h\" }";
    let gateway = trapping(&origin, keys);
    for _ in 0..3 {
        assert_eq!(bad(&gateway), 200);
    }
    gateway.log.wait_for(&["plugin in quarantine"]);
    for _ in 0..3 {
        assert_eq!(bad(&gateway), 200, "it would trap if it were called");
    }
    let trapped = gateway.metrics().sum("edgewit_filter_stops_total", &[("reason", "trap")]);
    assert_eq!((trapped, held(&gateway)), (3.0, 3.0));
}

#[test]
fn a_probe_that_traps_keeps_the_filter_out_for_longer() {
    let origin = Origin::echo();
    let gateway =
        trapping(&origin, "quarantine = { stops = 2, window = \"60s\", probe = \"50ms\" }");
    until("it to be tried again and again", || {
        assert_eq!(bad(&gateway), BAD);
        (gateway.log.with(&["stopped when it was tried"]).len() >= 3).then_some(())
    });
    let lines = gateway.log.with(&["stopped when it was tried"]);
    for (line, pause) in lines.iter().zip(["100ms", "200ms", "400ms"]) {
        assert!(line.contains(pause), "{line}");
    }
    assert_eq!(gateway.log.with(&["stopped too often"]).len(), 1, "one line for each change");
}

#[test]
fn a_client_with_bad_requests_does_not_switch_a_filter_off_for_the_others() {
    let origin = Origin::echo();
    let gateway = trapping(&origin, "quarantine = { stops = 5, window = \"60s\", probe = \"1h\" }");
    for n in 0..10 {
        for _ in 0..3 {
            assert_status(&gateway.get("/"), 200);
        }
        assert_eq!(bad(&gateway), BAD, "{n}");
    }
    assert_eq!(quarantined(&gateway), (false, 0.0));
}

#[test]
fn a_new_version_starts_with_a_clean_record() {
    let origin = Origin::echo();
    let gateway = trapping(
        &origin,
        "fallback = false\nquarantine = { stops = 2, window = \"60s\", probe = \"1h\" }",
    );
    assert_eq!((bad(&gateway), bad(&gateway)), (BAD, BAD));
    gateway.log.wait_for(&["plugin in quarantine"]);
    assert_status(&gateway.get("/"), BAD);
    gateway.put_guest(guest::COUNTER, "trap");
    until("the new version to serve", || (gateway.get("/").status == 200).then_some(()));
    assert!(!quarantined(&gateway).0);
}
