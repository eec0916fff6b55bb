//! A filter that is stopped costs one request, in whatever phase.

use edgewit_harness::{Gateway, NO_HURRY, Origin, Setup, get, post, until_or_tell};

use crate::common::{assert_status, plugin, route, through, upstream};
use crate::guest;

/// Phases of an exchange and what a stop in them means.
const PHASES: [(&str, Sees); 8] = [
    ("auth", Sees::Problem),
    ("routing", Sees::Problem),
    ("request", Sees::Problem),
    ("request-body", Sees::Problem),
    ("retry", Sees::Problem),
    ("response", Sees::Problem),
    ("response-body", Sees::Cut),
    ("telemetry", Sees::Nothing),
];

/// What the client sees of a stop.
#[derive(Clone, Copy)]
enum Sees {
    /// 503 as `application/problem+json`.
    Problem,
    /// No complete response: the head may be out already.
    Cut,
    /// The response, which was out already.
    Nothing,
}

/// Lets a guest act in each phase, and proves that exactly that request fails, and why.
fn check(guest: &str, keys: &str, limits: &str, reason: &str) {
    let origin = Origin::echo();
    let toml = through(&origin, &format!("\"{guest}\"")) + &plugin(guest, keys);
    let gateway = Setup::new(toml).limits(limits).guest(guest).start();
    for (n, (phase, sees)) in PHASES.iter().enumerate() {
        let bad = post("/", "body").header("x-act", phase);
        match sees {
            Sees::Problem => gateway.send(bad).assert_problem(503),
            Sees::Nothing => assert_status(&gateway.send(bad), 200),
            Sees::Cut => {
                let mut client = gateway.raw();
                client.write(format!("GET / HTTP/1.1\r\nhost: a\r\nx-act: {phase}\r\n\r\n"));
                let seen = client.read_to_end();
                assert!(!seen.contains("\"method\""), "{seen}");
            }
        }
        assert_status(&gateway.send(post("/", "body")), 200);
        let line = gateway.log.wait_for(&["filter stopped", &format!(r#""phase":"{phase}""#)]);
        for part in [
            r#""route":"all""#.to_owned(),
            format!(r#""reason":"{reason}""#),
            format!(r#""plugin":"{guest}@"#),
        ] {
            assert!(line.contains(&part), "no {part} in {line}");
        }
        wait_for_stops(&gateway, guest, reason, n + 1);
    }
    let stops = gateway.metrics().sum("edgewit_filter_stops_total", &[]);
    assert_eq!(stops, PHASES.len() as f64, "one stop for each bad request and no other");
}

/// Telemetry runs after the response, so that the count may come later.
fn wait_for_stops(gateway: &Gateway, plugin: &str, reason: &str, expected: usize) {
    let labels = [("plugin", plugin), ("reason", reason)];
    let stops = || gateway.metrics().sum("edgewit_filter_stops_total", &labels);
    let what = || {
        let log = gateway.log.with(&["filter stopped"]).join("\n");
        format!("{expected} stops by {reason}, not {}:\n{log}", stops())
    };
    until_or_tell(what, || (stops() == expected as f64).then_some(()));
}

#[test]
fn a_trap_in_any_phase_costs_one_request() {
    check(guest::TRAP, "", NO_HURRY, "trap");
}

#[test]
fn an_endless_loop_in_any_phase_is_stopped_by_fuel() {
    check(guest::SPIN, "limits = { fuel = 1_000_000 }", NO_HURRY, "fuel");
}

#[test]
fn an_endless_loop_in_any_phase_is_stopped_by_time() {
    // Fuel for hours. The time is longer than the default, for the honest requests on a busy machine.
    let limits = "time = \"300ms\"\nfuel = 1_000_000_000_000\nrequest-fuel = 1_000_000_000_000";
    check(guest::SPIN, "", limits, "time");
}

#[test]
fn a_trap_costs_one_request_of_a_reused_instance() {
    check(guest::TRAP, "isolation = \"worker\"", NO_HURRY, "trap");
}

#[test]
fn an_error_reaches_the_log_and_not_the_client() {
    let origin = Origin::echo();
    let toml = upstream("origin", &origin) + &route("all", "/", "\"fail\"");
    let gateway = Setup::new(toml).guest(guest::FAIL).start();
    let reply = gateway.get("/");
    reply.assert_problem(503);
    assert!(!reply.text().contains("secret"));
    assert_eq!(reply.json()["instance"], reply.header("x-request-id"));
    let line =
        gateway.log.wait_for(&["filter stopped", "the secret reason", r#""reason":"error""#]);
    assert!(line.contains("fail.rs:"), "the place in the source: {line}");
    assert!(line.contains(reply.header("x-request-id")), "{line}");
    assert!(origin.seen().is_empty());
}

#[test]
fn a_trap_names_the_functions_of_the_guest() {
    let toml = "[routes.all]\nmatch = \"/\"\nrespond = {}\nfilters = [\"trap\"]\n";
    let gateway = Setup::new(toml).guest(guest::TRAP).start();
    gateway.send(get("/").header("x-act", "request")).assert_problem(503);
    let line = gateway.log.wait_for(&["filter stopped"]);
    assert!(line.contains("trap::trap"), "{line}");
}

#[test]
fn on_error_skip_leaves_the_filter_out() {
    let origin = Origin::echo();
    let toml = upstream("origin", &origin)
        + &route("all", "/", "\"fail\", \"marker\"")
        + &plugin("fail", "on-error = \"skip\"")
        + &plugin("marker", "config = { name = \"m\" }");
    let gateway = Setup::new(toml).guest(guest::FAIL).guest(guest::MARKER).start();
    let reply = gateway.get("/");
    assert_status(&reply, 200);
    assert_eq!(reply.echoed("x-trail"), "m:auth,m:routing,m:request");
    gateway.log.wait_for(&["filter stopped", "the secret reason"]);
    assert_eq!(gateway.metrics().sum("edgewit_filter_stops_total", &[("plugin", "fail")]), 1.0);
}

#[test]
fn a_filter_that_authenticates_fails_open_only_in_so_many_words() {
    let origin = Origin::echo();
    let toml = |on_error: &str| {
        let keys = format!("on-error = \"{on_error}\"");
        upstream("origin", &origin) + &route("all", "/", "\"trap\"") + &plugin("trap", &keys)
    };
    let refused = Setup::new(toml("skip")).guest(guest::TRAP).run(&["check"]).failed();
    assert!(refused.contains("`trap` authenticates requests"), "{refused}");
    assert!(refused.contains("skip-even-auth"), "{refused}");
    let bad = || get("/").header("x-act", "auth");
    let closed = Setup::new(toml("reject")).guest(guest::TRAP).start();
    closed.send(bad()).assert_problem(503);
    let open = Setup::new(toml("skip-even-auth")).guest(guest::TRAP).start();
    assert_status(&open.send(bad()), 200);
}
