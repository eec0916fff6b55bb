//! Which requests go where.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::{
    Authority, ByteSize, Compress, Condition, Cors, Fault, FilterUse, HeaderEdits, Hedge, IpNet,
    ListenerName, Mirror, Regex, RouteName, SplitOn, Template, UpstreamName,
};

/// `[routes.<name>]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its key.
    pub name: RouteName,
    /// A request belongs here if any of these fits. At least one.
    pub matchers: Vec<Matcher>,
    /// Listeners it is reachable on; empty: all.
    pub listeners: Vec<ListenerName>,
    /// The named chain and then the route's own filters, in the order of their request side.
    pub filters: Vec<FilterUse>,
    /// What answers.
    pub action: Action,
    /// Changes before the request goes to the upstream.
    pub rewrite: Rewrite,
    /// From the end of the request head to the end of the response head, all attempts together.
    pub timeout: Duration,
    /// Attempts beyond the first.
    pub retry: Retry,
    /// A smaller or larger bound on the request body than the listener's.
    pub body: Option<ByteSize>,
    /// Protocols, as tokens in lower case, that a client may change to (RFC 9110 7.8).
    pub upgrades: Vec<HeaderValue>,
    /// How long a connection that changed its protocol may carry nothing in either direction.
    pub tunnel_idle: Duration,
    /// Changes of header fields, after the filters.
    pub headers: HeaderEdits,
    /// Which pages of other origins may use it.
    pub cors: Option<Cors>,
    /// Faults that are made on purpose.
    pub fault: Option<Fault>,
    /// Content codings for its responses.
    pub compress: Option<Compress>,
    /// Who gets copies of its requests.
    pub mirror: Option<Mirror>,
    /// What decides between several upstreams; `None`: chance.
    pub split_on: Option<SplitOn>,
    /// Another bound on the time between two parts of a request body than the listener's.
    pub stall: Option<Duration>,
}

impl Route {
    /// A route for everything, with every default.
    pub fn new(name: RouteName, action: Action) -> Self {
        Self {
            name,
            matchers: vec![Matcher::default()],
            listeners: Vec::new(),
            filters: Vec::new(),
            action,
            rewrite: Rewrite::default(),
            timeout: Duration::from_secs(30), // above a person's patience, below the 60 s of most clients and balancers
            retry: Retry::default(),
            body: None,
            upgrades: Vec::new(),
            // Those who keep a WebSocket open ping every minute or less; what says nothing for an hour was forgotten.
            tunnel_idle: Duration::from_secs(3_600),
            headers: HeaderEdits::default(),
            cors: None,
            fault: None,
            compress: None,
            mirror: None,
            split_on: None,
            stall: None,
        }
    }

    /// Would the same requests be found to belong here as there, whatever then becomes of them?
    pub fn is_found_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.matchers == other.matchers
            && self.listeners == other.listeners
    }
}

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Matcher {
    /// `None`: any host.
    pub host: Option<HostPattern>,
    /// Path in the syntax of matchit: `/orders/{id}`, `/files/{*rest}`. A trailing `{*rest}` also matches the path without
    /// anything behind its slash.
    pub path: String,
    /// Empty: any method. `GET` includes `HEAD`.
    pub methods: Vec<Method>,
    /// Header fields with exact values.
    pub headers: Vec<HeaderRule>,
    /// Query parameters with exact values, compared as they stand in the URL.
    pub query: Vec<(String, String)>,
    /// Describes the whole path; `path` then stands for every path.
    pub path_regex: Option<Regex>,
    /// Further conditions on header fields, query parameters and cookies.
    pub conditions: Vec<Condition>,
    /// Networks of clients; empty: any.
    pub clients: Vec<IpNet>,
}

impl Default for Matcher {
    /// Everything fits.
    fn default() -> Self {
        Self {
            host: None,
            path: "/{*rest}".to_owned(),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            path_regex: None,
            conditions: Vec::new(),
            clients: Vec::new(),
        }
    }
}

/// A host to match, in lower case, without port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This very host.
    Exact(String),
    /// Any host that ends in this suffix, with its leading dot: `*.example.com` is stored as `.example.com`.
    Wildcard(String),
}

/// A header field that must be there with this value.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderRule {
    /// Name of the field.
    pub name: HeaderName,
    /// Its value, whole.
    pub value: HeaderValue,
}

/// What a route does with a request that its filters let through.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Forwards to one of these, drawn by weight for each request. A routing filter may choose any of them. At least one.
    Forward(Vec<WeightedUpstream>),
    /// A fixed answer.
    Respond(Respond),
    /// A redirect.
    Redirect(Redirect),
}

/// An upstream with its share.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedUpstream {
    /// Which.
    pub name: UpstreamName,
    /// Its share in the sum of all weights; 0 is reachable for routing filters only.
    pub weight: u32,
}

/// `respond = { ... }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Respond {
    /// 200 to 599.
    pub status: StatusCode,
    /// Further fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// May be empty.
    pub body: String,
}

/// `redirect = { ... }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// Value of `location`, with the placeholders `scheme`, `host`, `path`, `query` and those of the path pattern.
    pub location: Template,
}

/// `rewrite = { ... }`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rewrite {
    /// A prefix, without trailing slash, that is cut from the path.
    pub strip_prefix: Option<String>,
    /// Sends the endpoint's own name as host instead of the client's.
    pub upstream_host: bool,
    /// Sends this host instead of the client's.
    pub host: Option<Authority>,
    /// Another path; never together with `strip_prefix`.
    pub path: Option<PathRewrite>,
    /// Another query; an empty one means none.
    pub query: Option<Template>,
}

/// How a path is changed.
#[derive(Debug, Clone, PartialEq)]
pub enum PathRewrite {
    /// This one, with what the path pattern has captured.
    Template(Template),
    /// Another prefix, in whole segments.
    Prefix {
        /// Without trailing slash.
        from: String,
        /// Without trailing slash; empty: none.
        to: String,
    },
    /// What an expression makes of the whole path.
    Regex {
        /// The expression.
        pattern: Regex,
        /// With `$1` and `${name}` for groups.
        replace: String,
    },
}

/// `retry = { ... }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts in all, 1 to 10; 1 means none beyond the first unless a filter judges.
    pub attempts: u32,
    /// What is tried again.
    pub on: RetryOn,
    /// Bound on one attempt; `None`: the route's timeout.
    pub per_try: Option<Duration>,
    /// The first pause and the longest; doubled each time, with full jitter.
    pub backoff: (Duration, Duration),
    /// Retries as a share of the upstream's requests, in percent.
    pub budget_percent: u32,
    /// Largest request body that is kept for another attempt.
    pub replay: ByteSize,
    /// Further attempts while the first still waits.
    pub hedge: Option<Hedge>,
}

/// Outcomes that are tried again, where the method allows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetryOn {
    /// No connection; safe for every method, since nothing was sent.
    pub connect: bool,
    /// The connection broke before a response head came.
    pub reset: bool,
    /// The attempt took too long.
    pub timeout: bool,
    /// Responses with these statuses.
    pub statuses: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 1,
            on: RetryOn { connect: true, reset: true, ..RetryOn::default() },
            per_try: None,
            backoff: (Duration::from_millis(25), Duration::from_millis(250)),
            budget_percent: 20, // THREATS promise 13: retries add at most 20 % of load
            replay: ByteSize(64 << 10), // most API calls are far smaller
            hedge: None,
        }
    }
}
