use std::{sync::mpsc::channel, time::UNIX_EPOCH};

use super::*;

fn a_line(user_agent: &[u8]) -> Line<'_> {
    Line {
        time: UNIX_EPOCH,
        request_id: "id",
        trace_id: "00",
        listener: "web",
        client: IpAddr::from([10, 0, 0, 1]),
        subject: Some("a \"b\"\n"),
        scheme: "https",
        version: "2",
        method: "GET",
        authority: "a.test",
        path: "/x",
        user_agent: Some(user_agent),
        status: 200,
        ending: "complete",
        error: None,
        duration: Duration::from_micros(12_034),
        request_bytes: 0,
        response_bytes: 5,
        route: Some("orders"),
        upstream: None,
        tries: 1,
        filters: vec![FilterLine { name: "jwt", us: 62, fuel: 18_400, outcome: "proceed" }],
        client_identity: Some("spiffe://prod/\"web\""),
    }
}

fn formatted(format: AccessLogFormat, user_agent: &[u8]) -> String {
    let mut out = Vec::new();
    line::format(format, &a_line(user_agent), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_json_line_is_one_object_whatever_the_client_sends() {
    let hostile: [&[u8]; 5] = [
        b"curl/8",
        b"\"}\n{\"status\":500",
        b"\\\x00\x1b[31m\x7f",
        "\u{9b}31m\u{2028}ü".as_bytes(),
        b"\xff\xfe",
    ];
    for user_agent in hostile {
        let text = formatted(AccessLogFormat::Json, user_agent);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["user_agent.original"], *String::from_utf8_lossy(user_agent));
        assert_eq!(value["http.response.status_code"], 200);
        assert_eq!(value["duration_ms"], 12.034);
        assert_eq!(value["filters"][0]["fuel"], 18_400);
        assert_eq!(value["timestamp"], "1970-01-01T00:00:00.000Z");
        assert!(value.get("upstream").is_none());
    }
}

#[test]
fn a_common_line_keeps_its_fields_apart() {
    let expected =
        "10.0.0.1 - a\\x20\\x22b\\x22\\x0a [01/Jan/1970:00:00:00 +0000] \"GET /x HTTP/2\" 200 5\n";
    assert_eq!(formatted(AccessLogFormat::Common, b""), expected);
}

/// Hands on what is written, when it is allowed to.
struct Target {
    gate: std::sync::mpsc::Receiver<()>,
    out: std::sync::mpsc::Sender<Vec<u8>>,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.gate.recv();
        self.out.send(bytes.to_vec()).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_reach_the_target_in_time_and_the_rest_at_the_end() {
    let metrics = Metrics::new(1);
    let (open, gate) = channel();
    let (out, written) = channel();
    drop(open);
    let target = Box::new(Target { gate, out });
    let log = AccessLog::start(AccessLogFormat::Common, target, &metrics, Duration::from_millis(1));
    let log = log.unwrap();
    log.write(&a_line(b""));
    let first = written.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(first.iter().filter(|b| **b == b'\n').count(), 1);
    log.write(&a_line(b""));
    drop(log);
    assert_eq!(written.try_iter().count(), 1);
}

#[test]
fn a_slow_target_costs_lines_and_not_memory() {
    let metrics = Metrics::new(1);
    let (open, gate) = channel();
    let (out, written) = channel();
    let target = Box::new(Target { gate, out });
    let log = AccessLog::start(AccessLogFormat::Json, target, &metrics, FLUSH).unwrap();
    let long = vec![b'x'; CHUNK];
    let lines = QUEUE as u64 + 50;
    for _ in 0..lines {
        log.write(&a_line(&long));
    }
    let dropped = metrics.counter(&families::ACCESS_LOG_DROPPED, &[]);
    assert!((40..=50).contains(&dropped.get()), "{}", dropped.get());
    drop(open);
    drop(log);
    assert_eq!(written.try_iter().count() as u64 + dropped.get(), lines);
}
