//! The value of a field or fact.

use std::borrow::Cow;
use std::ops::Deref;

/// The bytes of a field or fact, just as they came. They need not be UTF-8.
///
/// It compares with text and bytes: `request.field("x-country").is_some_and(|country| country == "KR")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value<'a>(Cow<'a, [u8]>);

impl Value<'_> {
    /// The value as text; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Value(Cow::Owned(bytes))
    }
}

impl From<Value<'_>> for Vec<u8> {
    fn from(value: Value<'_>) -> Self {
        value.0.into_owned()
    }
}

impl PartialEq<str> for Value<'_> {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for Value<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<[u8]> for Value<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        *self.0 == *other
    }
}
