//! `[routes.<name>]`.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    Amount, At, Compress, Cors, Fault, Filter, HeaderEdits, Hedge, Mirror, Percent, Size, Span,
    SwitchOr, Test, TextOr, Time,
};

/// Which requests go where. Exactly one of `upstream`, `upstreams`, `respond` and `redirect`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Route {
    /// `[METHODS] [host]/path`, such as `GET,POST api.example.com/orders/{*rest}`, or a table, or a list of either.
    #[serde(rename = "match")]
    pub(crate) matches: Option<At<Matches>>,
    /// Names of listeners. Default: all.
    pub(crate) listeners: Option<At<Vec<At<String>>>>,
    /// Name of a chain whose filters run first.
    pub(crate) chain: Option<At<String>>,
    /// Further filters, after the chain.
    pub(crate) filters: Option<At<Vec<At<TextOr<Filter>>>>>,
    /// Forwards to this upstream.
    pub(crate) upstream: Option<At<String>>,
    /// Forwards to one of these, by weight.
    pub(crate) upstreams: Option<At<Vec<At<WeightedUpstream>>>>,
    /// Answers by itself.
    pub(crate) respond: Option<At<Respond>>,
    /// Sends the client elsewhere.
    pub(crate) redirect: Option<At<Redirect>>,
    /// Changes before the request goes to the upstream.
    pub(crate) rewrite: Option<At<Rewrite>>,
    /// Time until the response head, all attempts together. Default: `30s`.
    pub(crate) timeout: Option<At<Amount<Time>>>,
    /// Further attempts.
    pub(crate) retry: Option<At<Retry>>,
    /// Largest request body. Default: the listener's.
    pub(crate) body: Option<At<Amount<Size>>>,
    /// Protocols that a client may change to, such as `websocket`. Default: none.
    pub(crate) upgrades: Option<At<Vec<At<String>>>>,
    /// How long a connection that changed its protocol may carry nothing. Default: `1h`.
    pub(crate) tunnel_idle: Option<At<Amount<Time>>>,
    /// Changes of header fields, after the filters.
    pub(crate) headers: Option<At<HeaderEdits>>,
    /// Which pages of other origins may use it.
    pub(crate) cors: Option<At<Cors>>,
    /// Faults that are made on purpose.
    pub(crate) fault: Option<At<Fault>>,
    /// Content codings for its responses; `true` for the usual ones.
    pub(crate) compress: Option<At<SwitchOr<Compress>>>,
    /// Who gets copies of its requests.
    pub(crate) mirror: Option<At<Mirror>>,
    /// What decides between several upstreams, instead of chance: `cookie:NAME`, `header:NAME` or `client`.
    pub(crate) split_on: Option<At<String>>,
    /// Time between two parts of a request body. Default: the listener's.
    pub(crate) stall_timeout: Option<At<Amount<Time>>>,
}

/// One condition or several, any of which is enough.
#[derive(Debug, Clone)]
pub(crate) enum Matches {
    One(Box<TextOr<Match>>),
    Many(Vec<At<TextOr<Match>>>),
}

/// Conditions that must all hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Match {
    /// A host, or `*.` and the end of one. Default: any.
    pub(crate) host: Option<At<String>>,
    /// A path with `{name}` for a segment and `{*rest}` for the rest. Default: any.
    pub(crate) path: Option<At<String>>,
    /// Methods; `GET` includes `HEAD`. Default: any.
    pub(crate) method: Option<At<Vec<At<String>>>>,
    /// Header fields with exact values, or with tests.
    pub(crate) header: BTreeMap<String, At<TextOr<Test>>>,
    /// Query parameters with exact values, or with tests.
    pub(crate) query: BTreeMap<String, At<TextOr<Test>>>,
    /// A regular expression that describes the whole path, in the place of `path`.
    pub(crate) path_regex: Option<At<String>>,
    /// Cookies with exact values, or with tests.
    pub(crate) cookie: BTreeMap<String, At<TextOr<Test>>>,
    /// Networks of clients, such as `10.0.0.0/8`. Default: any.
    pub(crate) client: Option<At<Vec<At<String>>>>,
}

/// An upstream with its share.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct WeightedUpstream {
    /// Name of the upstream.
    pub(crate) name: At<String>,
    /// Its share; 0 is for routing filters only. Default: 1.
    pub(crate) weight: Option<At<u64>>,
}

/// A fixed answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Respond {
    /// 200 to 599. Default: 200.
    pub(crate) status: Option<At<u64>>,
    /// Header fields.
    pub(crate) headers: BTreeMap<String, At<String>>,
    /// The body. Default: empty.
    pub(crate) body: Option<String>,
}

/// A redirect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Redirect {
    /// 301, 302, 303, 307 or 308. Default: 307.
    pub(crate) status: Option<At<u64>>,
    /// Where to, with `{scheme}`, `{host}`, `{authority}`, `{path}`, `{query}` and the parameters of the path.
    pub(crate) location: At<String>,
}

/// Changes before the request goes to the upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Rewrite {
    /// A prefix that is cut from the path.
    pub(crate) strip_prefix: Option<At<String>>,
    /// Which host the upstream sees: `upstream` for that of the server's own address, or a name. Default: the client's.
    pub(crate) host: Option<At<String>>,
    /// Another path, with the parameters of the path, such as `/new/{rest}`.
    pub(crate) path: Option<At<String>>,
    /// Another prefix.
    pub(crate) prefix: Option<At<PrefixRewrite>>,
    /// What an expression makes of the whole path.
    pub(crate) regex: Option<At<RegexRewrite>>,
    /// Another query, with the parameters of the path; `{query}` stands for the client's. Default: the client's.
    pub(crate) query: Option<At<String>>,
}

/// Another prefix of the path, in whole segments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct PrefixRewrite {
    /// The prefix.
    pub(crate) from: At<String>,
    /// What stands in its place.
    pub(crate) to: At<String>,
}

/// What an expression makes of the whole path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct RegexRewrite {
    /// A regular expression that describes a whole path; other paths stay as they are.
    pub(crate) pattern: At<String>,
    /// The path then, with `$1` and `${name}` for groups.
    pub(crate) replace: At<String>,
}

/// Further attempts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Retry {
    /// Attempts in all, 1 to 10. Default: 1.
    pub(crate) attempts: Option<At<u64>>,
    /// `connect`, `reset`, `timeout`, statuses such as `503`, or `5xx`. Default: connect and reset.
    pub(crate) on: Option<At<Vec<At<String>>>>,
    /// Time of one attempt. Default: the route's.
    pub(crate) per_try: Option<At<Amount<Time>>>,
    /// First and longest pause. Default: `25ms..250ms`.
    pub(crate) backoff: Option<At<Amount<Span>>>,
    /// Retries as a share of the upstream's requests. Default: `20%`.
    pub(crate) budget: Option<At<Amount<Percent>>>,
    /// Largest request body that is kept for another attempt. Default: `64KiB`.
    pub(crate) replay: Option<At<Amount<Size>>>,
    /// A second attempt at another server while the first still waits. Default: none.
    pub(crate) hedge: Option<At<Hedge>>,
}

impl<'de> Deserialize<'de> for Matches {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MatchesVisitor)
    }
}

struct MatchesVisitor;

impl<'de> Visitor<'de> for MatchesVisitor {
    type Value = Matches;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a table or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Matches, E> {
        Ok(Matches::One(Box::new(TextOr::Text(text.to_owned()))))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Matches, A::Error> {
        let table = Match::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Matches::One(Box::new(TextOr::Table(table))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Matches, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = seq.next_element()? {
            out.push(item);
        }
        Ok(Matches::Many(out))
    }
}

impl JsonSchema for Matches {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Matches".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<TextOr<Match>>();
        json_schema!({ "anyOf": [one.clone(), { "type": "array", "items": one }] })
    }
}
