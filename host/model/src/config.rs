//! The whole checked configuration.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    Listener, ListenerName, Plugin, PluginLimits, PluginName, RequestLimits, Route, RouteName,
    Telemetry, Upstream, UpstreamName,
};

/// One checked configuration: every name in it resolves.
///
/// Plugins that routes use without declaring them are in `plugins` too, with the defaults and the path
/// `<plugin folder>/<name>.wasm`; whether that file is there is found out when it is loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The process as a whole.
    pub server: Server,
    /// The administration endpoint; `None` if it is off.
    pub admin: Option<Admin>,
    /// At least one.
    pub listeners: BTreeMap<ListenerName, Listener>,
    /// Defaults for plugins that say nothing of their own.
    pub plugin_limits: PluginLimits,
    /// What one request may spend over its whole chain.
    pub request_limits: RequestLimits,
    /// Declared and used plugins.
    pub plugins: BTreeMap<PluginName, Plugin>,
    /// Services behind the edge.
    pub upstreams: BTreeMap<UpstreamName, Upstream>,
    /// Which requests go where. Shared, since thousands of them may be the same in the next configuration.
    pub routes: BTreeMap<RouteName, Arc<Route>>,
    /// Logs and metrics.
    pub telemetry: Telemetry,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Worker threads, each with its own event loop; `None`: one for each core.
    pub workers: Option<usize>,
    /// Instances of all filters that may be alive at the same time. Each reserves 4 GiB of address space, and memory only
    /// where it was touched.
    pub instances: u32,
    /// Folder that is watched for `.wasm` files. Relative paths are relative to the configuration file.
    pub plugin_dir: PathBuf,
    /// Folder for compiled plugins and state of our own.
    pub state_dir: PathBuf,
    /// How long, after SIGTERM, connections are still accepted while `/readyz` says no.
    pub drain_delay: Duration,
    /// How long requests may run after that.
    pub drain_timeout: Duration,
    /// How long a new process may take, after SIGUSR2, until it serves; after that the old one goes on.
    pub upgrade_timeout: Duration,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Loopback only, until there is authentication for anything else.
    pub listen: SocketAddr,
}
