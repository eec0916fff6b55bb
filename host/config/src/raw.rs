//! The file as it is written: serde types whose doc comments and shapes become the JSON Schema.
//!
//! Nothing here is checked beyond its type. Internally tagged, untagged and flattened types are banned, because serde
//! loses the places of values in them.

mod value;

mod one_or_many;

mod amount;

mod server;

mod listener;

mod plugin;

mod upstream;

mod health;

mod route;

mod policy;

mod telemetry;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use amount::{Amount, Percent, Size, Span, Time, Unit};
pub(crate) use health::{Circuit, Concurrency, Health, Hedge, Outlier, SuccessRate};
pub(crate) use listener::{
    ClientAuth, ClientAuthMode, Listener, ListenerLimits, ListenerTls, Protocol, TlsFiles,
    TlsVersion, Underscores,
};
pub(crate) use one_or_many::OneOrMany;
pub(crate) use plugin::{
    Allow, Chain, Filter, Isolation, Limits, Namespace, OnError, Plugin, PluginLimits, Quarantine,
};
pub(crate) use policy::{Compress, Cors, Edits, Fault, HeaderEdits, Mirror, SwitchOr, Test};
pub(crate) use route::{
    Match, Matches, Redirect, Respond, Retry, Rewrite, Route, WeightedUpstream,
};
pub(crate) use server::{Admin, Server};
pub(crate) use telemetry::{AccessLog, AccessLogFormat, LogFormat, Telemetry};
pub(crate) use upstream::{
    Affinity, Balance, Dns, Scheme, Server as UpstreamServer, Upstream, UpstreamTls,
};
pub(crate) use value::{At, Free, TextOr};

/// An Edgewit configuration. Every key is optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct File {
    /// Version of the rules that this file follows; only 1 exists.
    version: Option<u32>,
    /// Further files, relative to this one; the last part of a path may have `*` in it.
    include: Option<Vec<String>>,
    /// The process as a whole.
    server: Option<Server>,
    /// The administration endpoint.
    admin: Option<Admin>,
    /// Where clients connect, by name. Default: `http` on 127.0.0.1:8080.
    listeners: BTreeMap<String, Listener>,
    /// Defaults for every plugin, and what one request may use.
    limits: Option<Limits>,
    /// Filters that need more than their file, by name.
    plugins: BTreeMap<String, Plugin>,
    /// Lists of filters that routes share, by name.
    chains: BTreeMap<String, Chain>,
    /// Services behind the edge, by name.
    upstreams: BTreeMap<String, Upstream>,
    /// Which requests go where, by name. The most exact route wins, never the first.
    routes: BTreeMap<String, Route>,
    /// Logs.
    telemetry: Option<Telemetry>,
    /// Ignored; for notes of your own.
    x: Free,
}
