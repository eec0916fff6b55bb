//! Edits that the configuration lists, in the phases `request` and `response`, as raw as they are.

use edgewit_sdk::{Answer, Needs, Request, Response};
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
        for (action, name, value) in &self.request {
            match action.as_str() {
                "set" => request.set(name, value.as_str()),
                "append" => request.append(name, value.as_str()),
                _ => request.remove(name),
            }
        }
        self.answer.map(|status| Answer::text(status, "answered by the filter"))
    }

    fn on_response(&self, response: &mut Response) -> Option<Answer> {
        for (action, name, value) in &self.response {
            match action.as_str() {
                "set" => response.set(name, value.as_str()),
                "append" => response.append(name, value.as_str()),
                _ => response.remove(name),
            }
        }
        if let Some(status) = self.status {
            response.status = status;
        }
        self.replace.map(|status| Answer::text(status, "replaced by the filter"))
    }
}

edgewit_sdk::export!(Editor: lifecycle, request, response);
