//! Edits that the configuration lists, or the request's field `x-edits` as JSON, in the phases `request` and `response`, as
//! raw as they are.

use edgewit_sdk::{Answer, Needs, Request, Response, exchange};
use serde::Deserialize;

/// What is changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Editor {
    /// `[action, name, value]`.
    #[serde(default)]
    request: Vec<(String, String, String)>,
    #[serde(default)]
    response: Vec<(String, String, String)>,
    /// Another status of the response.
    #[serde(default)]
    status: Option<u16>,
    /// Answers the request with this status.
    #[serde(default)]
    answer: Option<u16>,
    /// Replaces the response by an answer with this status.
    #[serde(default)]
    replace: Option<u16>,
}

impl Editor {
    fn configure(config: Self, _: &mut Needs) -> Result<Self, String> {
        Ok(config)
    }

    fn on_request(&self, request: &mut Request) -> Option<Answer> {
        let asked = Self::asked();
        let wanted = asked.as_ref().unwrap_or(self);
        for (action, name, value) in &wanted.request {
            match action.as_str() {
                "set" => request.set(name, value.as_str()),
                "append" => request.append(name, value.as_str()),
                _ => request.remove(name),
            }
        }
        wanted.answer.map(|status| Answer::text(status, "answered by the filter"))
    }

    fn on_response(&self, response: &mut Response) -> Option<Answer> {
        let asked = Self::asked();
        let wanted = asked.as_ref().unwrap_or(self);
        for (action, name, value) in &wanted.response {
            match action.as_str() {
                "set" => response.set(name, value.as_str()),
                "append" => response.append(name, value.as_str()),
                _ => response.remove(name),
            }
        }
        if let Some(status) = wanted.status {
            response.status = status;
        }
        wanted.replace.map(|status| Answer::text(status, "replaced by the filter"))
    }

    /// What the request asks for.
    fn asked() -> Option<Self> {
        let json = exchange::request_field("x-edits")?;
        Some(serde_json::from_slice(&json).expect("tests write what can be read"))
    }
}

edgewit_sdk::export!(Editor: lifecycle, request, response);
