//! `[telemetry]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{At, TextOr};

/// Logs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    /// What the server says about itself.
    pub(crate) log: Log,
    /// A line for each request, or `off`. Default: JSON on standard output.
    pub(crate) access_log: Option<At<TextOr<AccessLog>>>,
}

/// What the server says about itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `info`, or by part: `info,edgewit_wasm=debug`. Default: `info`.
    pub(crate) level: Option<At<String>>,
    /// Shape of a line. Default: `auto`.
    pub(crate) format: Option<LogFormat>,
}

/// Shape of the log.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A line for each request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct AccessLog {
    /// Shape of a line. Default: `json`.
    pub(crate) format: Option<AccessLogFormat>,
    /// A file, relative to this one, or `-` for standard output. Default: `-`.
    pub(crate) file: Option<At<String>>,
}

/// Shape of a line of the access log.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AccessLogFormat {
    /// One JSON object.
    Json,
    /// The Common Log Format.
    Common,
}
