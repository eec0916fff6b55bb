//! The phase `lifecycle`: how a filter takes its configuration.
//!
//! ```
//! use edgewit_sdk::{Needs, Request, RequestField};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     blocked: Vec<String>,
//! }
//!
//! struct GeoBlock {
//!     blocked: Vec<String>,
//!     country: RequestField,
//! }
//!
//! impl GeoBlock {
//!     fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
//!         if config.blocked.is_empty() {
//!             return Err("`blocked` is empty; name at least one country".into());
//!         }
//!         Ok(GeoBlock { blocked: config.blocked, country: needs.request_field("x-country") })
//!     }
//! #   fn on_request(&self, _: &mut Request) {}
//! }
//!
//! edgewit_sdk::export!(GeoBlock: lifecycle, request);
//! ```
//!
//! `configure` runs once, when component and configuration are loaded. The host snapshots the memory, so what it made of
//! the configuration costs nothing per request. Its error, in words for the operator, refuses the configuration.

use crate::bindings::capabilities::edgewit::filter::types;
use crate::needs::Needs;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::sync::OnceLock;

/// What the filter of this component declared. A component has one filter, so this can be a static.
static DECLARED: OnceLock<Needs> = OnceLock::new();

/// What the filter declared, or what a filter without `lifecycle` sees.
#[doc(hidden)]
pub fn declared() -> &'static Needs {
    static UNDECLARED: Needs = Needs::undeclared();
    DECLARED.get().unwrap_or(&UNDECLARED)
}

/// Runs the phase, as [`export!`](crate::export) does.
#[doc(hidden)]
pub fn run<F, C: DeserializeOwned, E: Display>(
    filter: &OnceLock<F>,
    configure: impl FnOnce(C, &mut Needs) -> Result<F, E>,
    config: &str,
) -> Result<types::Needs, String> {
    let (configured, needs) = build(configure, config)?;
    let wanted = needs.clone().into();
    if filter.set(configured).is_err() || DECLARED.set(needs).is_err() {
        return Err("this instance is configured already".into());
    }
    Ok(wanted)
}

/// Parses the configuration and builds the filter.
pub(crate) fn build<F, C: DeserializeOwned, E: Display>(
    configure: impl FnOnce(C, &mut Needs) -> Result<F, E>,
    config: &str,
) -> Result<(F, Needs), String> {
    let mut json = serde_json::Deserializer::from_str(config);
    let config = serde_path_to_error::deserialize(&mut json).map_err(explain)?;
    let mut needs = Needs::none();
    let filter = configure(config, &mut needs).map_err(|error| error.to_string())?;
    Ok((filter, needs))
}

/// Says which key is wrong. The operator wrote TOML, so line and column of the JSON would mislead.
fn explain(error: serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    let text = error.inner().to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    if path == "." { text.to_owned() } else { format!("`{path}`: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(default)]
        #[allow(dead_code)]
        servers: Vec<Server>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Server {
        #[allow(dead_code)]
        port: u16,
    }

    #[test]
    fn a_message_names_the_key_and_what_is_allowed() {
        let table = [
            (
                r#"{"servers":[{"port":1},{"port":"x"}]}"#,
                "`servers[1].port`: invalid type: string \"x\", expected u16",
            ),
            (r#"{"server":[]}"#, "`server`: unknown field `server`, expected `servers`"),
            (r#"{"servers":[{}]}"#, "`servers[0]`: missing field `port`"),
        ];
        for (config, message) in table {
            let refused = build(|config: Config, _| Ok::<_, String>(config), config).unwrap_err();
            assert_eq!(refused, message);
        }
    }
}
