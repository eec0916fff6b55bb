//! Adds a letter to its state in each phase and shows it in the response; or leaves as many bytes as configured.

use edgewit_sdk::{
    Attempt, BodyMode, Chunk, Needs, Request, Response, State, Summary, auth, body, log, retry,
    routing,
};
use serde::Deserialize;

/// Remembers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remember {
    /// Leaves this many bytes in the phase `request` instead.
    #[serde(default)]
    bytes: Option<usize>,
}

impl Remember {
    fn configure(config: Self, needs: &mut Needs) -> Result<Self, String> {
        needs.request_body(BodyMode::Peek(16));
        needs.response_body(BodyMode::Peek(16));
        Ok(config)
    }

    fn authenticate(&self, request: &mut Request) -> auth::Verdict {
        add(&mut request.state, b'a');
        auth::Verdict::Allow
    }

    fn route(&self, request: &mut Request) -> routing::Verdict {
        add(&mut request.state, b'r');
        routing::Verdict::Stay
    }

    fn on_request(&self, request: &mut Request) {
        match self.bytes {
            Some(bytes) => request.state.set(vec![b'x'; bytes]),
            None => add(&mut request.state, b'q'),
        }
    }

    fn on_request_body(&self, chunk: &mut Chunk) -> body::Verdict {
        add(&mut chunk.state, b'b');
        body::Verdict::Pass
    }

    fn judge(&self, attempt: &mut Attempt) -> retry::Verdict {
        add(&mut attempt.state, b'j');
        retry::Verdict::Finish
    }

    fn on_response(&self, response: &mut Response) {
        add(&mut response.state, b's');
        let state = response.state.bytes().to_vec();
        response.set(
            "x-state",
            if self.bytes.is_none() { state } else { state.len().to_string().into() },
        );
    }

    fn on_response_body(&self, chunk: &mut Chunk) -> body::Verdict {
        add(&mut chunk.state, b'p');
        body::Verdict::Pass
    }

    fn record(&self, summary: &Summary) {
        log::info(format!("state at the end: {}", String::from_utf8_lossy(summary.state.bytes())));
    }
}

/// A state that the configuration made long stays as it is.
fn add(state: &mut State, letter: u8) {
    let mut all = state.bytes().to_vec();
    if all.len() < 64 {
        all.push(letter);
        state.set(all);
    }
}

edgewit_sdk::export!(
    Remember: lifecycle, auth, routing, request, request_body, retry, response, response_body, telemetry
);
