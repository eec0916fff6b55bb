//! Logs and metrics.

use std::path::PathBuf;

/// `[telemetry]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Telemetry {
    /// Directives of the log filter, such as `info` or `info,edgewit_wasm=debug`; `None`: `info`.
    pub log_level: Option<String>,
    /// Shape of the log.
    pub log_format: LogFormat,
    /// `None`: no access log.
    pub access_log: Option<AccessLog>,
}

/// Shape of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `telemetry.access-log`.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// Shape of a line.
    pub format: AccessLogFormat,
    /// Where lines go.
    pub target: LogTarget,
}

/// Shape of a line of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLogFormat {
    /// One JSON object.
    #[default]
    Json,
    /// The Common Log Format of the NCSA server.
    Common,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}
