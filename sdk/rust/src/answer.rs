//! A complete response made by the filter.

use crate::bindings::capabilities::edgewit::filter::types::{self, Field};

/// A complete response made by the filter.
///
/// The host sets `content-length`, `date` and the connection's own fields, and drops the body where a response has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// Header fields, in their order.
    pub fields: Vec<Field>,
    /// May be empty.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer without fields and body.
    pub fn new(status: u16) -> Self {
        Answer { status, fields: Vec::new(), body: Vec::new() }
    }

    /// An answer with a text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Answer::new(status)
            .field("content-type", "text/plain; charset=utf-8")
            .body(body.into().into_bytes())
    }

    /// An error as `application/problem+json` (RFC 9457). The title is for people and says nothing that the client must
    /// not know.
    pub fn problem(status: u16, title: &str) -> Self {
        let mut body = String::from(r#"{"status":"#);
        body.push_str(&status.to_string());
        body.push_str(r#","title":""#);
        push_escaped(&mut body, title);
        body.push_str(r#""}"#);
        Answer::new(status)
            .field("content-type", "application/problem+json")
            .body(body.into_bytes())
    }

    /// A redirect, for example with status 302 or 308.
    pub fn redirect(status: u16, location: impl Into<Vec<u8>>) -> Self {
        Answer::new(status).field("location", location)
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The first field of that name, for tests and for filters that look at their own answers.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value.as_slice())
    }
}

impl From<Answer> for types::Answer {
    fn from(answer: Answer) -> Self {
        types::Answer { status: answer.status, fields: answer.fields, body: answer.body }
    }
}

/// JSON's escapes, without the weight of a serialiser.
fn push_escaped(out: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\0'..='\x1f' => out.push(' '),
            _ => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_json() {
        let answer = Answer::problem(429, "too \"many\"\\\n");
        assert_eq!(answer.get("Content-Type"), Some(&b"application/problem+json"[..]));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body, serde_json::json!({ "status": 429, "title": "too \"many\"\\ " }));
    }
}
