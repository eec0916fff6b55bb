//! What happens to a connection's bytes that are no request: they are answered, counted and logged like one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use edgewit_chain::Scheme;
use edgewit_model::ListenerName;
use edgewit_telemetry::{Answered, Counter, Line, Metrics, families};
use http::{HeaderMap, Method, Version};

use crate::{connection::Connection, guard::Identity, problem, wire::Refusal};

/// `edgewit_requests_refused_total`, by listener and reason.
#[derive(Debug)]
pub(crate) struct Refusals {
    metrics: Arc<Metrics>,
    /// Made when they occur first; names of listeners and our own words, nothing that clients choose.
    counters: Mutex<HashMap<(ListenerName, &'static str), Counter>>,
}

impl Refusals {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self { metrics: Arc::clone(metrics), counters: Mutex::default() }
    }

    fn count(&self, listener: &ListenerName, reason: &'static str) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry((listener.clone(), reason)).or_insert_with(|| {
            let labels = [("listener", listener.as_str()), ("reason", reason)];
            self.metrics.counter(&families::REQUESTS_REFUSED, &labels)
        });
        counter.increment();
    }
}

/// Counts something that is answered elsewhere, or not at all.
pub(crate) fn count(connection: &Connection, refusal: Refusal) {
    count_word(connection, refusal.word());
}

/// Counts a request that the front door answers with a problem of this name.
pub(crate) fn count_word(connection: &Connection, reason: &'static str) {
    connection.context.shared.refusals.count(&connection.settings.config.name, reason);
}

/// The answer to bytes that are no head of HTTP/1.1, which it counts and logs. `head`: those bytes.
pub(crate) fn answer(connection: &Connection, refusal: Refusal, head: &[u8]) -> Bytes {
    count(connection, refusal);
    let identity = Identity::new(&HeaderMap::new(), false, SystemTime::now());
    let id = identity.request_id();
    let status = refusal.status();
    let body = problem::document(status, id);
    let title = status.canonical_reason().unwrap_or("Error");
    let answer = format!(
        "HTTP/1.1 {} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
        x-request-id: {id}\r\nconnection: close\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    );
    let asked = Asked::read(head);
    let method = Method::from_bytes(asked.method.as_bytes()).unwrap_or_default();
    let is_https = connection.scheme == Scheme::Https;
    let answered =
        Answered::new(&method, status.as_u16(), is_https, Version::HTTP_11, Some(refusal.word()));
    let snapshot = connection.context.shared.snapshot.load();
    snapshot.unrouted().record(answered, Duration::ZERO, 0, body.len() as u64);
    if let Some(log) = snapshot.access_log() {
        log.write(&Line {
            time: SystemTime::now(),
            request_id: id,
            trace_id: identity.trace_id(),
            listener: connection.settings.config.name.as_str(),
            client: connection.peer,
            subject: None,
            client_identity: None,
            scheme: connection.scheme.as_str(),
            version: "1.1",
            method: asked.method,
            authority: "",
            path: asked.path,
            user_agent: None,
            status: status.as_u16(),
            ending: "complete",
            error: Some(refusal.word()),
            duration: Duration::ZERO,
            request_bytes: 0,
            response_bytes: body.len() as u64,
            route: None,
            upstream: None,
            tries: 0,
            filters: Vec::new(),
        });
    }
    answer.into()
}

/// What can be said of a head that is none.
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
}

/// Bytes of a refused head that may go into the log.
const LOGGED: usize = 1 << 10;
/// What cannot be read.
const UNKNOWN: &str = "-";

impl<'a> Asked<'a> {
    fn read(head: &'a [u8]) -> Self {
        let head = head.get(..LOGGED).unwrap_or(head);
        let line = head.trim_ascii_start().split(|b| matches!(b, b'\r' | b'\n')).next();
        let mut words = line.unwrap_or_default().split(|b| *b == b' ');
        let mut word = || words.next().filter(|word| word.iter().all(u8::is_ascii_graphic));
        let mut word = || word().and_then(|word| std::str::from_utf8(word).ok());
        let method = word().filter(|word| !word.is_empty() && word.len() <= 32);
        let target = word().unwrap_or(UNKNOWN);
        Self {
            method: method.unwrap_or(UNKNOWN),
            path: target.split('?').next().unwrap_or(UNKNOWN), // queries may hold secrets
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_of_a_bad_head_is_told() {
        let check = |head: &[u8], expected: (&str, &str)| {
            let asked = Asked::read(head);
            assert_eq!((asked.method, asked.path), expected);
        };
        check(b"\r\nGET /a?b=secret HTTP/1.2\r\nhost: a\r\n", ("GET", "/a"));
        check(b"GET", ("GET", "-"));
        check(b"\x16\x03\x01", ("-", "-"));
        check(b"GET \xff\xff HTTP/1.1", ("GET", "-"));
        check(b"", ("-", "-"));
    }
}
