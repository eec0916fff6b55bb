//! `[server]` and `[admin]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Amount, At, Time};

/// The process as a whole.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Worker threads. Default: 0, one for each core.
    pub(crate) workers: Option<At<u64>>,
    /// Instances of all filters that may be alive at the same time. Each reserves address space, not memory. Default: 1,000.
    pub(crate) instances: Option<At<u64>>,
    /// Folder that is watched for `.wasm` files, relative to this file. Default: `plugins`.
    pub(crate) plugin_dir: Option<At<String>>,
    /// Folder for compiled plugins and state, relative to this file. Default: `.edgewit`.
    pub(crate) state_dir: Option<At<String>>,
    /// How long requests may run on after SIGTERM. Default: `30s`.
    pub(crate) drain_timeout: Option<At<Amount<Time>>>,
    /// How long connections are still accepted after SIGTERM, while `/readyz` says no. Default: `5s`.
    pub(crate) drain_delay: Option<At<Amount<Time>>>,
    /// How long the new process of an upgrade (SIGUSR2) may take until it serves. Default: `60s`.
    pub(crate) upgrade_timeout: Option<At<Amount<Time>>>,
}

/// The administration endpoint.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// A loopback address with a port, or `off`. Default: `127.0.0.1:9977`.
    pub(crate) listen: Option<At<String>>,
}
