//! What do the words mean? The vocabulary of Edgewit: names, sizes and the checked configuration.
//!
//! Nothing here reads files, opens sockets or knows TOML or WebAssembly. A value of these types has been checked: a
//! route that names an upstream names one that exists. Start reading at [`Config`].

mod name;

mod size;

mod config;

mod listener;

mod route;

mod expression;

mod template;

mod condition;

mod edits;

mod cors;

mod policy;

mod plugin;

mod upstream;

mod health;

mod circuit;

mod observe;

mod net;

mod path;

mod authority;

#[doc(hidden)]
pub mod fuzz;

pub use authority::{Authority, AuthorityError};
pub use circuit::{Circuit, Concurrency, Hedge};
pub use condition::{Condition, Part, Test};
pub use config::{Admin, Config, Server};
pub use cors::{Cors, OriginPattern};
pub use edits::{Edits, HeaderEdits};
pub use expression::{Regex, RegexError};
pub use health::{Health, HealthKind, HttpHealth, Outlier, PANIC_PERCENT, SuccessRate};
pub use listener::{
    CertificateFiles, ClientAuth, ClientAuthMode, Listener, ListenerLimits, ListenerTls, Protocols,
    TlsVersion, Underscores,
};
pub use name::{ListenerName, NameError, PluginName, RouteName, UpstreamName};
pub use net::{IpNet, IpNetError};
pub use observe::{AccessLog, AccessLogFormat, LogFormat, LogTarget, Telemetry};
pub use path::{NormalizedPath, PathError};
pub use plugin::{
    FilterUse, Grants, Isolation, Namespace, OnError, Plugin, PluginLimits, Quarantine,
    RequestLimits,
};
pub use policy::{Compress, Encoding, Fault, Mirror, SplitOn};
pub use route::{
    Action, HeaderRule, HostPattern, Matcher, PathRewrite, Redirect, Respond, Retry, RetryOn,
    Rewrite, Route, WeightedUpstream,
};
pub use size::{ByteSize, UnitError, parse_duration, parse_size};
pub use template::{Piece, Template, TemplateError};
pub use upstream::{
    Affinity, Balance, Discovery, DnsDiscovery, DnsQuestion, Endpoint, HashOn, Pool, Secret,
    TlsIdentity, Upstream, UpstreamTimeouts, UpstreamTls,
};
