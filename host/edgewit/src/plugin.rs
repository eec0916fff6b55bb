//! `edgewit plugin`: what authors of filters do, and what operators do with those that serve.

pub(crate) mod new;

pub(crate) mod build;

pub(crate) mod test;

pub(crate) mod inspect;

pub(crate) mod live;

mod usage;

mod manifest;

use std::path::Path;

/// Is a file meant? A version or a name never ends so, nor does it have a slash.
pub(crate) fn is_file(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some_and(|e| e == "wasm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_versions_and_names() {
        let cases = [
            ("ca978112", false),
            ("1.4.0", false),
            ("sha256:ca97", false),
            ("./new", true),
            ("new.wasm", true),
        ];
        for (text, expected) in cases {
            assert_eq!(is_file(text), expected, "{text}");
        }
    }
}
