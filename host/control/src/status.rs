//! How are things? Written by whoever changes something, read by the administration endpoint.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use edgewit_config::Report;
use edgewit_model::{Config, ListenerName, PluginName};
use edgewit_telemetry::Metrics;
use serde::Serialize;

use crate::{
    events::{Event, Events},
    stock,
    time::Timestamp,
};

/// How things are.
#[derive(Debug)]
pub struct Status {
    begun: Instant,
    started: Timestamp,
    draining: AtomicBool,
    now: Mutex<Now>,
    events: Events,
}

#[derive(Debug, Default)]
struct Now {
    config: Option<PathBuf>,
    generation: u64,
    counts: Counts,
    listeners: BTreeMap<ListenerName, String>,
    times: Times,
    admin: Option<SocketAddr>,
    last_reload: Option<Reload>,
}

/// What the running configuration says about the end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    /// How long connections are still accepted.
    pub(crate) delay: Duration,
    /// How long requests may run after that.
    pub(crate) timeout: Duration,
    /// How long a process that takes the place of this one may take until it serves.
    pub(crate) upgrade: Duration,
}

/// How many things the running configuration has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Listeners.
    pub listeners: usize,
    /// Routes.
    pub routes: usize,
    /// Plugins that routes use.
    pub plugins: usize,
    /// Upstreams.
    pub upstreams: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { listeners, routes, plugins, upstreams } = *self;
        let things = [
            (listeners, "listener"),
            (routes, "route"),
            (plugins, "plugin"),
            (upstreams, "upstream"),
        ];
        let words = things.map(|(n, thing)| counted(n, thing));
        f.write_str(&words.join(" · "))
    }
}

/// A number of things in words.
pub(crate) fn counted(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

impl Counts {
    /// Of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            listeners: config.listeners.len(),
            routes: config.routes.len(),
            plugins: stock::used(config).len(),
            upstreams: config.upstreams.len(),
        }
    }
}

/// What became of the last attempt to change the configuration.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reload {
    /// When.
    pub at: Timestamp,
    /// Did the new configuration go live?
    pub successful: bool,
    /// How long it took.
    pub took_ms: u64,
    /// Names of what changed, such as `routes.orders`.
    pub changed: Vec<String>,
    /// Errors and warnings.
    pub diagnostics: Report,
    /// Why it failed, if not for what stands in the configuration.
    pub error: Option<String>,
}

/// `/v1/status`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatusView {
    /// Of Edgewit.
    pub version: &'static str,
    /// `ready` or `draining`.
    pub state: &'static str,
    /// When the process began to serve.
    pub started: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// The file of the configuration; `None`: it came from elsewhere.
    pub config: Option<PathBuf>,
    /// Counts the changes that went live.
    pub generation: u64,
    /// What the running configuration has.
    pub counts: Counts,
    /// Where clients connect.
    pub listeners: BTreeMap<ListenerName, String>,
    /// The administration endpoint.
    pub admin: Option<SocketAddr>,
    /// The last attempt to change the configuration.
    pub last_reload: Option<Reload>,
    /// The latest first.
    pub events: Vec<Event>,
}

/// Events that are shown here; `/v1/events` has more.
const SHOWN_EVENTS: usize = 100;

impl Status {
    /// Nothing is known yet.
    pub(crate) fn new(config: Option<PathBuf>, metrics: &Metrics) -> Self {
        Self {
            begun: Instant::now(),
            started: Timestamp::now(),
            draining: AtomicBool::new(false),
            now: Mutex::new(Now { config, ..Now::default() }),
            events: Events::new(metrics),
        }
    }

    /// Should it get traffic?
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Acquire)
    }

    /// From now on it should not.
    pub(crate) fn drain(&self) -> Times {
        self.draining.store(true, Ordering::Release);
        self.event("drain", "draining: no new traffic, please");
        self.lock().times
    }

    /// What the running configuration says about the end.
    pub(crate) fn times(&self) -> Times {
        self.lock().times
    }

    /// Another generation went live.
    pub(crate) fn live(
        &self,
        generation: u64,
        counts: Counts,
        listeners: BTreeMap<ListenerName, String>,
        times: Times,
    ) {
        let mut now = self.lock();
        now.times = times;
        now.generation = generation;
        now.counts = counts;
        now.listeners = listeners;
    }

    pub(crate) fn set_admin(&self, address: Option<SocketAddr>) {
        self.lock().admin = address;
    }

    pub(crate) fn reloaded(&self, reload: Reload) {
        self.lock().last_reload = Some(reload);
    }

    /// Puts down what has happened.
    pub(crate) fn event(&self, kind: &'static str, message: impl AsRef<str>) {
        self.events.put(kind, None, message.as_ref());
    }

    /// Puts down what has happened to a plugin.
    pub(crate) fn event_of(
        &self,
        plugin: &PluginName,
        kind: &'static str,
        message: impl AsRef<str>,
    ) {
        self.events.put(kind, Some(plugin), message.as_ref());
    }

    /// What has happened.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Everything at once.
    pub fn view(&self) -> StatusView {
        let now = self.lock();
        StatusView {
            version: env!("CARGO_PKG_VERSION"),
            state: if self.is_ready() { "ready" } else { "draining" },
            started: self.started,
            uptime_seconds: self.begun.elapsed().as_secs(),
            config: now.config.clone(),
            generation: now.generation,
            counts: now.counts,
            listeners: now.listeners.clone(),
            admin: now.admin,
            last_reload: now.last_reload.clone(),
            events: self.events.latest(SHOWN_EVENTS),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
