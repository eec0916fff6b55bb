//! What do the words mean? The vocabulary of Edgewit: names, sizes and the checked configuration.
//!
//! Nothing here reads files, opens sockets or knows TOML or WebAssembly. A value of these types has been checked: a
//! route that names an upstream names one that exists. Start reading at [`Config`].

mod name;

mod size;

mod config;

mod listener;

mod route;

mod plugin;

mod upstream;

mod observe;

mod net;

mod path;

mod authority;

pub use authority::{Authority, AuthorityError};
pub use config::{Admin, Config, Server};
pub use listener::{Listener, ListenerLimits, ListenerTls, Protocols, TlsVersion};
pub use name::{ListenerName, NameError, PluginName, RouteName, UpstreamName};
pub use net::{IpNet, IpNetError};
pub use observe::{AccessLog, AccessLogFormat, LogFormat, LogTarget, Telemetry};
pub use path::{NormalizedPath, PathError};
pub use plugin::{
    FilterUse, Grants, Isolation, OnError, Plugin, PluginLimits, Quarantine, RequestLimits,
};
pub use route::{
    Action, HeaderRule, HostPattern, Matcher, Redirect, Respond, Retry, RetryOn, Rewrite, Route,
    WeightedUpstream,
};
pub use size::{ByteSize, UnitError, parse_duration, parse_size};
pub use upstream::{Balance, Endpoint, Pool, Upstream, UpstreamTimeouts, UpstreamTls};
