//! The body phases: takes the body of the configured directions in the configured mode, and does what is configured.

use edgewit_sdk::{Answer, BodyMode, Chunk, Needs, body};
use serde::Deserialize;

/// What is done with a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// `request` or `response`.
    direction: String,
    /// `peek`, `buffer` or `stream`.
    mode: String,
    /// Bytes of `peek` and `buffer`.
    #[serde(default)]
    size: u32,
    /// `pass`, `upper`, `empty`, `show`, `answer` or `cut`.
    act: String,
}

impl Body {
    fn configure(config: Self, needs: &mut Needs) -> Result<Self, String> {
        let mode = match config.mode.as_str() {
            "peek" => BodyMode::Peek(config.size),
            "buffer" => BodyMode::Buffer(config.size),
            "stream" => BodyMode::Stream,
            other => return Err(format!("no mode `{other}`")),
        };
        match config.direction.as_str() {
            "request" => needs.request_body(mode),
            "response" => needs.response_body(mode),
            other => return Err(format!("no direction `{other}`")),
        }
        Ok(config)
    }

    fn on_request_body(&self, chunk: &mut Chunk) -> body::Verdict {
        self.act(chunk)
    }

    fn on_response_body(&self, chunk: &mut Chunk) -> body::Verdict {
        self.act(chunk)
    }

    fn act(&self, chunk: &mut Chunk) -> body::Verdict {
        match self.act.as_str() {
            "upper" => body::Verdict::Replace(chunk.bytes.to_ascii_uppercase()),
            "empty" => body::Verdict::Replace(Vec::new()),
            // What one call saw, in brackets; a dot after the last.
            "show" => {
                let end = if chunk.end { "]." } else { "]" };
                body::Verdict::Replace([b"[", chunk.bytes.as_slice(), end.as_bytes()].concat())
            }
            "answer" => body::Verdict::Answer(Answer::text(422, "not this body")),
            "cut" => body::Verdict::Cut,
            _ => body::Verdict::Pass,
        }
    }
}

edgewit_sdk::export!(Body: lifecycle, request_body, response_body);
