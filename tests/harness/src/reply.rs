//! What a client got.

use bytes::Bytes;
use http::{HeaderMap, Version};

/// A whole response.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Version it came in.
    pub version: Version,
    /// Fields of the head.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Fields after the body.
    pub trailers: HeaderMap,
}

impl Reply {
    /// The first field of that name; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// All fields of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// What an echoing origin says it got as this field, all of them joined by commas.
    #[track_caller]
    pub fn echoed(&self, name: &str) -> String {
        let json = self.json();
        let fields = json["headers"].as_array().expect("an echo has headers").iter();
        let values = fields.filter(|field| field[0] == name).filter_map(|field| field[1].as_str());
        values.collect::<Vec<_>>().join(",")
    }

    /// Is it the host's own answer to a failure: a problem that tells no detail?
    #[track_caller]
    pub fn assert_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        let keys: Vec<&String> =
            problem.as_object().expect("a problem is an object").keys().collect();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(
            keys.iter().all(|key| ["type", "title", "status", "instance"].contains(&key.as_str())),
            "{problem}"
        );
    }
}
