//! The request of a run.

use crate::work::KEY;

/// A request without a body.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) path: &'static str,
    pub(crate) fields: Vec<(&'static str, &'static str)>,
}

/// An answer, whatever protocol it came in.
pub(crate) struct Answer {
    /// A line `status: ...`, then one for each field, in lower case.
    pub(crate) head: String,
    /// As it came: in chunks, it has their lengths between them.
    pub(crate) body: Vec<u8>,
}

/// The host that is asked for.
pub(crate) const HOST: &str = "localhost";
/// What the origin answers with 64 KiB; anything else with 1 KiB.
pub(crate) const LARGE: &str = "/large";

impl Ask {
    /// For an answer of 1 KiB.
    pub(crate) fn small() -> Self {
        Self::to("/bench?x=1")
    }

    /// For an answer of 64 KiB.
    pub(crate) fn large() -> Self {
        Self::to(LARGE)
    }

    /// A request for a path, with the fields that the work may ask about.
    pub(crate) fn to(path: &'static str) -> Self {
        let fields = [
            ("user-agent", "bench"),
            ("accept", "*/*"),
            ("x-tenant", "a"),
            ("x-api-key", KEY),
            ("x-canary", "never"),
        ];
        Self { path, fields: fields.to_vec() }
    }

    /// Without a field.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut ask = self.clone();
        ask.fields.retain(|(other, _)| *other != name);
        ask
    }

    /// With one more field.
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.push((name, value));
        self
    }

    /// Bytes of the answer's body.
    pub(crate) fn size(&self) -> usize {
        if self.path.starts_with(LARGE) { 64 << 10 } else { 1 << 10 }
    }

    /// As HTTP/1.1.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("GET {} HTTP/1.1\r\nhost: {HOST}\r\n", self.path);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}
