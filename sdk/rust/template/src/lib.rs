//! {{name}}, a filter for Edgewit: refuses requests from some countries.

use edgewit_sdk::{Answer, Needs, Request, RequestField};
use serde::Deserialize;

/// The filter, made once from its configuration and shared by all requests.
pub struct {{TypeName}} {
    blocked: Vec<String>,
    country: RequestField,
}

/// What the operator writes under `[plugins.{{name}}.config]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    blocked: Vec<String>,
}

impl {{TypeName}} {
    /// Called once, when the filter is loaded. What it declares is what it sees.
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        if config.blocked.is_empty() {
            return Err("`blocked` is empty; name at least one country".into());
        }
        Ok({{TypeName}} { blocked: config.blocked, country: needs.request_field("x-country") })
    }

    /// Called for each request.
    fn on_request(&self, request: &mut Request) -> Option<Answer> {
        let country = request.get(self.country)?;
        if self.blocked.iter().any(|blocked| country == **blocked) {
            return Some(Answer::problem(403, "not available in your country"));
        }
        let country = country.to_vec();
        request.set("x-geo", country);
        None
    }
}

// Other phases are auth, routing, request_body, retry, response, response_body and telemetry: name one here and write its
// method above.
edgewit_sdk::export!({{TypeName}}: lifecycle, request);

#[cfg(test)]
mod tests {
    use super::*;
    use edgewit_sdk::{Edit, testing};

    fn answer(country: &str) -> (Option<u16>, Vec<Edit>) {
        let (filter, needs) =
            testing::configure({{TypeName}}::configure, r#"{"blocked": ["KP"]}"#).unwrap();
        let mut request = testing::request_for(&needs).field("x-country", country).build();
        let answer = filter.on_request(&mut request);
        (answer.map(|answer| answer.status), request.edits().to_vec())
    }

    #[test]
    fn a_blocked_country_is_refused() {
        assert_eq!(answer("KP"), (Some(403), vec![]));
    }

    #[test]
    fn others_pass_with_their_country() {
        assert_eq!(answer("KR"), (None, vec![Edit::set("x-geo", "KR")]));
    }
}
