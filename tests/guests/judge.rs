//! The phase `retry`: proposes another attempt after each 503 and after each failure, up to four in all, and tells the
//! response what it judged.

use edgewit_sdk::{Attempt, Needs, Response, ResponseField, retry};
use serde::Deserialize;

/// Judges attempts.
pub struct Judge {
    reason: ResponseField,
}

/// Nothing to configure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Judge {
    fn configure(_: Config, needs: &mut Needs) -> Result<Self, String> {
        Ok(Judge { reason: needs.response_field("x-reason") })
    }

    fn judge(&self, attempt: &mut Attempt) -> retry::Verdict {
        let seen = match (attempt.status(), attempt.failure()) {
            (Some(status), _) => match attempt.get(self.reason) {
                Some(reason) => format!("{status}/{}", reason.text().unwrap_or_default()),
                None => status.to_string(),
            },
            (None, failure) => format!("{failure:?}"),
        };
        let mut all = attempt.state.bytes().to_vec();
        all.extend_from_slice(format!("{}={seen} ", attempt.number).as_bytes());
        attempt.state.set(all);
        let wanted = attempt.status().is_none_or(|status| status == 503);
        match wanted && attempt.number < 4 {
            true => retry::Verdict::Again { after_ms: 1, elsewhere: true },
            false => retry::Verdict::Finish,
        }
    }

    fn on_response(&self, response: &mut Response) {
        let judged = response.state.bytes().trim_ascii().to_vec();
        response.set("x-judged", judged);
    }
}

edgewit_sdk::export!(Judge: lifecycle, retry, response);
