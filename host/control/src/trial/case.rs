//! What stands in a file of cases. The TOML itself is read elsewhere.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use serde_json::{Map, Value};

/// A file of cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Suite {
    /// The component, relative to the plugin's folder; `None`: what `plugin build` made.
    pub plugin: Option<PathBuf>,
    /// Its configuration.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Its limits, where they differ from the defaults.
    #[serde(default)]
    pub limits: Limits,
    /// The cases.
    #[serde(default, rename = "case")]
    pub cases: Vec<Case>,
}

/// Limits that a suite can set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Units of fuel for a request.
    pub fuel: Option<u64>,
}

/// One request, and what should come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// What it shows, in words.
    pub name: String,
    /// Keys that replace those of the suite's configuration.
    pub config: Option<Map<String, Value>>,
    /// What the client sends.
    #[serde(default)]
    pub request: Request,
    /// What the upstream answers: one table, or an array with one for each attempt. The last one is repeated.
    #[serde(default)]
    pub upstream: Origins,
    /// What should happen.
    #[serde(default)]
    pub expect: Expect,
}

/// What the client sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Path with optional query.
    pub path: String,
    /// The host asked for.
    pub host: String,
    /// Header fields; an array is several fields of one name.
    pub headers: BTreeMap<String, Values>,
    /// Its body.
    pub body: String,
    /// Address of the client.
    pub client: IpAddr,
    /// Did the client come by TLS?
    pub tls: bool,
    /// Whom the client's certificate names; none: it showed none.
    pub client_identity: Option<String>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: "localhost".to_owned(),
            headers: BTreeMap::new(),
            body: String::new(),
            client: IpAddr::from([192, 0, 2, 1]),
            tls: false,
            client_identity: None,
        }
    }
}

/// Values of one field name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(pub Vec<String>);

/// What the upstream answers, attempt by attempt.
#[derive(Debug, Clone)]
pub struct Origins(pub Vec<Origin>);

impl Default for Origins {
    fn default() -> Self {
        Self(vec![Origin::default()])
    }
}

/// What the upstream answers to one attempt.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Origin {
    /// Instead of an answer.
    pub fail: Option<Fail>,
    /// Its status.
    pub status: u16,
    /// Header fields.
    pub headers: BTreeMap<String, Values>,
    /// Its body.
    pub body: String,
}

impl Default for Origin {
    fn default() -> Self {
        Self { fail: None, status: 200, headers: BTreeMap::new(), body: String::new() }
    }
}

/// Why an attempt brings no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fail {
    /// No connection.
    Connect,
    /// The connection broke.
    Reset,
    /// It took too long.
    Timeout,
}

/// What should happen. What is not said does not matter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expect {
    /// Who answered.
    pub action: Option<Action>,
    /// Status that the client sees.
    pub status: Option<u16>,
    /// Header fields that the client sees; `false`: not there.
    pub headers: BTreeMap<String, Field>,
    /// The whole body that the client sees.
    pub body: Option<String>,
    /// A part of it.
    pub body_contains: Option<String>,
    /// Did the request get to the upstream?
    pub upstream_called: Option<bool>,
    /// How often.
    pub attempts: Option<u32>,
    /// What the upstream was sent, at the last attempt.
    pub upstream_request: Option<ExpectedRequest>,
    /// Who an auth filter says it is.
    pub subject: Option<String>,
    /// Fuel of all calls together at most.
    pub fuel_max: Option<u64>,
    /// A part of a line of the log.
    pub log_contains: Option<String>,
    /// The filter refuses its configuration, with this in its message.
    pub config_error: Option<String>,
}

/// What the upstream should be sent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExpectedRequest {
    /// Its method.
    pub method: Option<String>,
    /// Path with query.
    pub path: Option<String>,
    /// Header fields; `false`: not there.
    pub headers: BTreeMap<String, Field>,
    /// Its whole body.
    pub body: Option<String>,
}

/// What a header field should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// These values.
    Is(Values),
    /// Not there.
    Absent,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The upstream, with or without changes by the filter.
    Forward,
    /// The filter.
    Respond,
    /// The host, since the filter failed or the upstream did.
    Reject,
    /// Nobody: the filter cut the exchange.
    Cut,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Forward => "forward",
            Action::Respond => "respond",
            Action::Reject => "reject",
            Action::Cut => "cut",
        })
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

// Untagged enums of serde lose the place of an error; visitors keep it.

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Values, E> {
                Ok(Values(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Values, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Values)
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValuesOrFalse;
        impl<'de> Visitor<'de> for ValuesOrFalse {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, an array of strings, or false for a field that is not there")
            }

            fn visit_bool<E: de::Error>(self, there: bool) -> Result<Field, E> {
                match there {
                    false => Ok(Field::Absent),
                    true => Err(E::invalid_value(de::Unexpected::Bool(true), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Field, E> {
                Ok(Field::Is(Values(vec![text.to_owned()])))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Field, A::Error> {
                let values = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(Field::Is(Values(values)))
            }
        }
        deserializer.deserialize_any(ValuesOrFalse)
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Origins;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table, or an array with a table for each attempt")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Origins, A::Error> {
                let origin = Origin::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Origins(vec![origin]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Origins, A::Error> {
                let all: Vec<Origin> = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                if all.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                Ok(Origins(all))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}
