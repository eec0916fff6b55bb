//! What a route does with the messages that pass: header edits, CORS, faults, compression, copies.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Amount, At, Percent, Size, Time};

/// What must hold for one of the values of a name. Exactly one of the keys.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Test {
    /// A regular expression that describes a whole value.
    pub(crate) regex: Option<At<String>>,
    /// The begin of a value.
    pub(crate) prefix: Option<At<String>>,
    /// Whether there is any value.
    pub(crate) present: Option<At<bool>>,
}

/// Changes of header fields, after the filters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct HeaderEdits {
    /// What the upstream gets.
    pub(crate) request: Edits,
    /// What the client gets, whoever answered.
    pub(crate) response: Edits,
}

/// Changes of one head: first `remove`, then `set`, then `append`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Edits {
    /// Fields with their only value, with placeholders such as `{client-address}`.
    pub(crate) set: BTreeMap<String, At<String>>,
    /// Fields with a further value, with placeholders such as `{client-address}`.
    pub(crate) append: BTreeMap<String, At<String>>,
    /// Names of fields that are taken out.
    pub(crate) remove: Option<At<Vec<At<String>>>>,
}

/// Which pages of other origins may use a route.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Cors {
    /// Origins such as `https://app.example.com` or `https://*.example.com`, or `*`.
    pub(crate) origins: Option<At<Vec<At<String>>>>,
    /// Methods, or `*`. Default: GET, HEAD and POST.
    pub(crate) methods: Option<At<Vec<At<String>>>>,
    /// Names of request fields, or `*`. Default: those that every page may send.
    pub(crate) headers: Option<At<Vec<At<String>>>>,
    /// Names of response fields that pages may read, or `*`. Default: those that every page may read.
    pub(crate) expose: Option<At<Vec<At<String>>>>,
    /// Whether pages may send cookies and other credentials. Default: no.
    pub(crate) credentials: Option<At<bool>>,
    /// For how long a browser may keep a permission. Default: `10m`.
    pub(crate) max_age: Option<At<Amount<Time>>>,
}

/// Faults that are made on purpose.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Fault {
    /// A pause before the upstream is asked.
    pub(crate) delay: Option<Delay>,
    /// An answer in the place of the upstream's.
    pub(crate) abort: Option<Abort>,
}

/// A pause before the upstream is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Delay {
    /// How long.
    pub(crate) time: Option<At<Amount<Time>>>,
    /// For how many of the requests. Default: `100%`.
    pub(crate) share: Option<At<Amount<Percent>>>,
}

/// An answer in the place of the upstream's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Abort {
    /// 400 to 599.
    pub(crate) status: At<u64>,
    /// For how many of the requests. Default: `100%`.
    pub(crate) share: Option<At<Amount<Percent>>>,
}

/// `true` for the usual, a table for everything else.
#[derive(Debug)]
pub(crate) enum SwitchOr<T> {
    Switch(bool),
    Table(T),
}

/// Content codings for responses.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Compress {
    /// `zstd`, `br`, `gzip`, the preferred first. Default: all three in this order.
    pub(crate) encodings: Option<At<Vec<At<String>>>>,
    /// Smaller responses are sent as they are. Default: `1KiB`.
    pub(crate) min_size: Option<At<Amount<Size>>>,
    /// Media types such as `application/json`, or `text/*`. Default: those that are text.
    pub(crate) types: Option<At<Vec<At<String>>>>,
}

/// Copies of requests whose responses nobody sees.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Mirror {
    /// Name of the upstream that gets them.
    pub(crate) upstream: Option<At<String>>,
    /// How many of the requests. Default: `100%`.
    pub(crate) sample: Option<At<Amount<Percent>>>,
    /// Requests with a longer body are not copied. Default: `64KiB`.
    pub(crate) body: Option<At<Amount<Size>>>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for SwitchOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchVisitor(std::marker::PhantomData))
    }
}

struct SwitchVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SwitchVisitor<T> {
    type Value = SwitchOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean or a table")
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<SwitchOr<T>, E> {
        Ok(SwitchOr::Switch(on))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SwitchOr<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(SwitchOr::Table)
    }
}

impl<T: JsonSchema> JsonSchema for SwitchOr<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("SwitchOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "boolean" }, generator.subschema_for::<T>()] })
    }
}
