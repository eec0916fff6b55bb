//! Names that users give to things.

use std::{borrow::Borrow, fmt, sync::Arc};

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name is 1 to 64 characters of a-z, 0-9, `-`, `_` and `.`, and begins with a letter or digit"
)]
pub struct NameError;

fn check(text: &str) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    let first = bytes.first().ok_or(NameError)?;
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(b);
    let ok = bytes.len() <= 64
        && (first.is_ascii_lowercase() || first.is_ascii_digit())
        && bytes.iter().all(inner);
    if ok { Ok(()) } else { Err(NameError) }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        ///
        /// 1 to 64 characters of `a-z 0-9 - _ .`, so that it can be a metric label, a log field and a file stem as it
        /// is. Cloning shares the text.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a name.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
    )*};
}

names! {
    /// Name of a listener, the key below `[listeners]`.
    ListenerName
    /// Name of a plugin: the key below `[plugins]`, or the stem of a file in the plugin folder.
    PluginName
    /// Name of a route, the key below `[routes]`.
    RouteName
    /// Name of an upstream, the key below `[upstreams]`.
    UpstreamName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_and_file_stems() {
        for good in ["a", "jwt-auth", "v2.canary", "0x", "a_b"] {
            assert!(PluginName::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "-a", ".", "A", "a b", "a/b", "ä", "a\n", &long] {
            assert_eq!(PluginName::new(bad), Err(NameError), "{bad}");
        }
    }
}
