//! JSON that can be read in one way only.
//!
//! Parsers differ about a member that comes twice, so that what one checked another does not see: here it is an error.
//! Deep nesting is one too, because no claim needs it.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    /// Fractions, exponents, and integers beyond 64 bits with sign.
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// Members with different names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object(Vec<(String, Json)>);

impl Object {
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }
}

/// The object that these bytes are, and nothing else.
pub(crate) fn parse_object(bytes: &[u8]) -> Option<Object> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Nested { left: DEEPEST }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    match value {
        Json::Object(object) => Some(object),
        _ => None,
    }
}

/// Levels of lists and objects.
const DEEPEST: usize = 8;

/// Members of one object. Comparing each with each stays cheap up to here.
const MOST_MEMBERS: usize = 256;

/// A value with so many levels left.
#[derive(Clone, Copy)]
struct Nested {
    left: usize,
}

impl Nested {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Nested { left }),
            None => Err(E::custom("nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Number(value as f64), Json::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let deeper = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(deeper)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let deeper = self.deeper()?;
        let mut object = Object::default();
        while let Some(name) = members.next_key::<String>()? {
            if object.get(&name).is_some() {
                return Err(A::Error::custom("a member comes twice"));
            }
            if object.0.len() == MOST_MEMBERS {
                return Err(A::Error::custom("too many members"));
            }
            object.0.push((name, members.next_value_seed(deeper)?));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_one_way_is_an_object() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(8), "}".repeat(8));
        let deeper = format!("{}1{}", r#"{"a":"#.repeat(9), "}".repeat(9));
        let many: Vec<_> = (0..257).map(|n| format!(r#""{n}":0"#)).collect();
        let many = format!("{{{}}}", many.join(","));
        let table = [
            (r#"{"a": [1, "x", null, true, 1.5]}"#, true),
            (deep.as_str(), true),
            (deeper.as_str(), false),
            (many.as_str(), false),
            (r#"{"a": 1, "a": 1}"#, false),
            (r#"{"a": 1, "\u0061": 1}"#, false),
            (r#"{"b": {"a": 1, "a": 2}}"#, false),
            (r#"{"a": 1} {"#, false),
            (r#"{"a": 1e999}"#, false),
            (r#"{"a": NaN}"#, false),
            ("\u{feff}{}", false),
            ("[]", false),
            ("", false),
        ];
        for (text, valid) in table {
            assert_eq!(parse_object(text.as_bytes()).is_some(), valid, "{text}");
        }
        assert!(parse_object(b"{\"a\": \"\xff\"}").is_none());
    }
}
