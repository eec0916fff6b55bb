//! What has happened, told to those who watch: `/v1/events` and `edgewit events`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
};

use edgewit_harness::{
    Connection, Gateway, Origin, Protocol, Raw, Setup, get, post, program, until,
};
use serde_json::Value;

use crate::common::{assert_status, plugin, through};
use crate::guest;

fn versioned(origin: &Origin) -> Gateway {
    Setup::new(through(origin, "\"version\"")).guest_as(guest::VERSION_ONE, "version").start()
}

/// A connection on which events come, after the event that is named.
fn watch(gateway: &Gateway, host: &str, last: &str) -> Raw {
    let mut viewer = Raw::connect(gateway.admin());
    viewer.write(format!(
        "GET /v1/events HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n{last}\r\n"
    ));
    viewer
}

/// The next event on such a connection.
fn next(viewer: &mut Raw) -> Value {
    viewer.read_until("data: ");
    let json = viewer.read_until("\n");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// The next event of a kind.
fn next_of(viewer: &mut Raw, kind: &str) -> Value {
    loop {
        let event = next(viewer);
        if event["kind"] == kind {
            return event;
        }
    }
}

#[test]
fn servers_that_fall_ill_are_told_of() {
    let (origin, nobody) = (Origin::echo(), TcpListener::bind("127.0.0.1:0").unwrap());
    let gone = nobody.local_addr().unwrap();
    let health = "health = { path = \"/healthz\", interval = \"100ms\", unhealthy-after = 1 }";
    let toml = format!(
        "[upstreams.orders]\nservers = [\"{}\", \"http://{gone}\"]\n{health}\n\
         [routes.all]\nmatch = \"/{{*rest}}\"\nupstream = \"orders\"\n",
        origin.url()
    );
    drop(nobody);
    let gateway = Setup::new(toml).start();
    let mut viewer = watch(&gateway, "localhost", "");
    let event = next_of(&mut viewer, "health");
    assert_eq!(event["message"], format!("`orders`: {gone} is unhealthy"));
    let back = TcpListener::bind(gone).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    std::thread::spawn(move || {
        for mut stream in back.incoming().flatten() {
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(answer);
        }
    });
    let event = next_of(&mut viewer, "health");
    assert_eq!(event["message"], format!("`orders`: {gone} is available again"));
}

fn listed(gateway: &Gateway, kind: &str) -> Vec<Value> {
    let all = gateway.admin_json("/v1/events");
    let mut found = all["events"].as_array().unwrap().clone();
    found.retain(|event| event["kind"] == kind);
    found
}

#[test]
fn events_come_as_they_happen_and_go_on_where_a_viewer_was() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    let mut viewer = watch(&gateway, "localhost", "");
    let head = viewer.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"), "{head}");
    let start = next(&mut viewer);
    assert_eq!(start["kind"], "start", "what is remembered comes first");
    gateway.put_guest(guest::VERSION_TWO, "version");
    let swap = next_of(&mut viewer, "swap");
    assert_eq!(swap["plugin"], "version");
    gateway.put(b"no component", "version");
    let refused = next_of(&mut viewer, "refused");
    assert!(refused["message"].as_str().unwrap().contains("no WebAssembly component"), "{refused}");
    gateway.write("[routes.all]\nmatch = \"/\"\nupstream = \"nobody\"\n");
    gateway.signal(rustix::process::Signal::HUP);
    let reload = next_of(&mut viewer, "refused");
    assert!(reload["message"].as_str().unwrap().contains("E0202"), "its reason: {reload}");
    drop(viewer);

    let last = format!("last-event-id: {}\r\n", swap["id"]);
    let mut again = watch(&gateway, "127.0.0.1", &last);
    let first = next(&mut again);
    assert!(first["id"].as_u64() > swap["id"].as_u64(), "{first} after {swap}");
    assert_eq!(next_of(&mut watch(&gateway, "localhost", "last-event-id: 5\r\n"), "start"), start);
}

#[test]
fn who_may_watch_is_decided_as_for_every_page() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    for host in ["evil.example", "127.0.0.1.evil.example"] {
        let head = watch(&gateway, host, "").read_until("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 403 "), "{host}: {head}");
    }
    let stream = |ask: edgewit_harness::Ask| ask.header("accept", "text/event-stream");
    let mut connection = Connection::open(gateway.admin(), Protocol::H1);
    assert_eq!(connection.send(stream(post("/v1/events", ""))).status, 405);
    let head = watch(&gateway, "localhost", "origin: http://evil.example\r\n")
        .read_until("\r\n\r\n")
        .to_lowercase();
    assert!(!head.contains("access-control"), "no page of another origin may read it: {head}");
}

#[test]
fn viewers_are_few_and_the_others_are_still_answered() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    let begin = |_| {
        let mut viewer = watch(&gateway, "localhost", "");
        next_of(&mut viewer, "start");
        viewer
    };
    let all: Vec<_> = (0..16).map(begin).collect();
    let head = watch(&gateway, "localhost", "").read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_status(&gateway.ask_admin("/livez"), 200);
    drop(all);
    until("a place to be free", || {
        let head = watch(&gateway, "localhost", "").read_until("\r\n\r\n");
        head.starts_with("HTTP/1.1 200 ").then_some(())
    });
}

#[test]
fn stops_are_told_as_a_few_events_that_add_up() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"trap\"") + &plugin("trap", "quarantine = \"off\"");
    let gateway = Setup::new(toml).guest(guest::TRAP).start();
    let mut connection = gateway.connect();
    for _ in 0..50 {
        assert_eq!(connection.send(get("/").header("x-act", "request")).status, 503);
    }
    // "`trap` 0.1.0 was stopped 49 times: trap"
    let number = |event: &Value| {
        let message = event["message"].as_str().unwrap();
        assert!(message.contains("`trap`") && message.ends_with(": trap"), "{message}");
        let words = message.split("stopped ").nth(1).unwrap();
        words.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(1_u32)
    };
    let events = until("all stops to be told", || {
        let events = listed(&gateway, "stopped");
        (events.iter().map(number).sum::<u32>() == 50).then_some(events)
    });
    // One for each look at the counters at most: a second between the first two, then two, four, ...
    assert!(events.len() <= 6, "{events:?}");
    assert_eq!(events[0]["plugin"], "trap");
}

#[test]
fn every_attempt_to_change_something_is_an_event_and_a_flood_of_them_is_bounded() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    let mut connection = Connection::open(gateway.admin(), Protocol::H1);
    let meant = |path: &str, body: &str| {
        let ask = post(path, body.to_owned()).header("x-edgewit-admin", "1");
        ask.header("content-type", "application/json")
    };
    let cases = [
        (meant("/v1/plugins/version:disable", "{}"), 200, "disable version: `version` is out of"),
        (meant("/v1/plugins/nobody:enable", "{}"), 404, "enable nobody: refused: "),
        (meant("/v1/plugins/version:swap", "{"), 400, "/v1/plugins/version:swap: refused: "),
        (post("/v1/plugins/version:enable", "{}"), 403, "version:enable: refused: a change needs"),
        (post("/v1/reload", "{}").header("host", "evil.example"), 403, "/v1/reload: refused: "),
    ];
    for (ask, status, words) in cases {
        assert_eq!(connection.send(ask).status, status, "{words}");
        let events = listed(&gateway, "command");
        let told = events[0]["message"].as_str().unwrap();
        assert!(told.contains(words), "{words} in {told}");
    }
    for _ in 0..300 {
        assert_eq!(connection.send(post("/v1/reload", "{}")).status, 403);
    }
    let dropped = [("reason", "limited")];
    until("some to be dropped", || {
        assert_eq!(connection.send(post("/v1/reload", "{}")).status, 403);
        (gateway.metrics().sum("edgewit_events_dropped_total", &dropped) > 0.0).then_some(())
    });
    assert!(!listed(&gateway, "start").is_empty(), "what counts is still remembered");
}

#[test]
fn events_are_printed_by_command() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    let admin = gateway.admin().to_string();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(program::path());
        command.args(["events", "--admin", &admin]).args(arguments);
        command
    };
    let listed = program::run(&mut command(&[])).ok();
    assert!(listed.contains("start ") && listed.contains("ready in"), "{listed}");
    let json = program::run(&mut command(&["-o", "json"])).ok();
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["kind"], "start");

    let mut following = command(&["--follow", "-o", "json"]);
    let mut child = following.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"start\""));
    gateway.put_guest(guest::VERSION_TWO, "version");
    let swap = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("\"swap\"")));
    assert!(swap.is_some(), "it ended before the swap");
    drop(gateway.stop());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
}
