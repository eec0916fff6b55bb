//! What was expected, against what happened.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde::Serialize;

use super::{
    case::{Expect, ExpectedRequest, Field},
    play::{Outcome, Sent},
};

/// Something that was expected and did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The key of the expectation.
    pub what: String,
    /// What it says.
    pub expected: String,
    /// What was there instead.
    pub found: String,
}

/// Everything that is not as expected.
pub(super) fn judge(expect: &Expect, outcome: &Outcome) -> Vec<Mismatch> {
    let mut all = Mismatches::default();
    all.equal("action", expect.action, outcome.action);
    all.equal("status", expect.status, outcome.status);
    all.fields("headers", &expect.headers, &outcome.headers);
    all.equal("body", expect.body.as_deref(), outcome.body.as_str());
    all.contains("body-contains", expect.body_contains.as_deref(), &outcome.body);
    all.equal("upstream-called", expect.upstream_called, !outcome.upstream.is_empty());
    let attempts = u32::try_from(outcome.upstream.len()).unwrap_or(u32::MAX);
    all.equal("attempts", expect.attempts, attempts);
    if let Some(expected) = &expect.upstream_request {
        all.upstream_request(expected, outcome.upstream.last());
    }
    let subject = outcome.subject.as_deref().unwrap_or("none");
    all.equal("subject", expect.subject.as_deref(), subject);
    if let Some(most) = expect.fuel_max.filter(|most| outcome.fuel > *most) {
        all.push("fuel-max", format!("at most {most}"), outcome.fuel.to_string());
    }
    if let Some(part) = &expect.log_contains
        && !outcome.log.iter().any(|line| line.contains(part.as_str()))
    {
        all.push("log-contains", part.clone(), format!("{:?}", outcome.log));
    }
    if let Some(part) = &expect.config_error {
        all.push("config-error", part.clone(), "the configuration was accepted".to_owned());
    }
    all.0
}

#[derive(Default)]
struct Mismatches(Vec<Mismatch>);

impl Mismatches {
    fn push(&mut self, what: impl Into<String>, expected: String, found: String) {
        self.0.push(Mismatch { what: what.into(), expected, found });
    }

    fn equal<T: PartialEq + ToString>(
        &mut self,
        what: &str,
        expected: Option<T>,
        found: impl Into<T>,
    ) {
        let found = found.into();
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            self.push(what, expected.to_string(), found.to_string());
        }
    }

    fn contains(&mut self, what: &str, expected: Option<&str>, found: &str) {
        if let Some(part) = expected.filter(|part| !found.contains(*part)) {
            self.push(what, part.to_owned(), found.to_owned());
        }
    }

    fn fields(&mut self, what: &str, expected: &BTreeMap<String, Field>, found: &HeaderMap) {
        for (name, field) in expected {
            let values: Vec<_> = found
                .get_all(name.as_str())
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            let (fits, wanted) = match field {
                Field::Absent => (values.is_empty(), "none".to_owned()),
                Field::Is(wanted) => (wanted.0 == values, wanted.to_string()),
            };
            if !fits {
                let found = if values.is_empty() { "none".to_owned() } else { values.join(", ") };
                self.push(format!("{what}.{name}"), wanted, found);
            }
        }
    }

    fn upstream_request(&mut self, expected: &ExpectedRequest, sent: Option<&Sent>) {
        let Some(sent) = sent else {
            return self.push("upstream-request", "a request".into(), "none was sent".into());
        };
        self.equal("upstream-request.method", expected.method.as_deref(), sent.method.as_str());
        self.equal("upstream-request.path", expected.path.as_deref(), sent.path.as_str());
        self.fields("upstream-request.headers", &expected.headers, &sent.headers);
        self.equal("upstream-request.body", expected.body.as_deref(), sent.body.as_str());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trial::Action;

    fn outcome() -> Outcome {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", "1".parse().unwrap());
        let sent = Sent {
            method: "GET".to_owned(),
            path: "/a?b=1".to_owned(),
            headers: headers.clone(),
            body: String::new(),
        };
        Outcome {
            action: Action::Forward,
            status: 200,
            headers,
            body: "hello".to_owned(),
            upstream: vec![sent],
            subject: None,
            fuel: 1_000,
            log: vec!["INFO hi there".to_owned()],
        }
    }

    #[test]
    fn each_expectation_is_judged() {
        let cases = [
            (json!({}), None),
            (json!({ "action": "forward", "status": 200, "body": "hello" }), None),
            (json!({ "action": "respond" }), Some("action")),
            (json!({ "status": 403 }), Some("status")),
            (json!({ "headers": { "x-a": "1", "x-b": false } }), None),
            (json!({ "headers": { "X-A": ["1"] } }), None),
            (json!({ "headers": { "x-a": ["1", "2"] } }), Some("headers.x-a")),
            (json!({ "headers": { "x-a": false } }), Some("headers.x-a")),
            (json!({ "headers": { "x-b": "" } }), Some("headers.x-b")),
            (json!({ "body-contains": "ell" }), None),
            (json!({ "body-contains": "bye" }), Some("body-contains")),
            (json!({ "upstream-called": false }), Some("upstream-called")),
            (json!({ "attempts": 2 }), Some("attempts")),
            (json!({ "upstream-request": { "path": "/a?b=1", "method": "GET" } }), None),
            (json!({ "upstream-request": { "path": "/a" } }), Some("upstream-request.path")),
            (json!({ "subject": "me" }), Some("subject")),
            (json!({ "fuel-max": 1_000 }), None),
            (json!({ "fuel-max": 999 }), Some("fuel-max")),
            (json!({ "log-contains": "hi" }), None),
            (json!({ "log-contains": "bye" }), Some("log-contains")),
            (json!({ "config-error": "no" }), Some("config-error")),
        ];
        for (expect, expected) in cases {
            let expect: Expect = serde_json::from_value(expect).unwrap();
            let found: Vec<_> = judge(&expect, &outcome()).into_iter().map(|m| m.what).collect();
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(found, expected, "{expect:?}");
        }
    }
}
