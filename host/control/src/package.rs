//! `edgewit plugin build`: what a component says of itself, written into it.

use edgewit_wasm::{Inspection, LoadError};
use wasm_metadata::{AddMetadata, AddMetadataField, Description, Licenses, Source, Version};

use crate::trial::golden;

/// What a component should say of itself. The names are those that `wkg` and registries read.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// JSON Schema of its configuration.
    pub config_schema: Option<String>,
    /// Cases that are played before it serves, as TOML.
    pub golden: Option<String>,
}

/// Why a component cannot be packaged.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Edgewit would not take it.
    #[error("the component {0}")]
    Component(#[from] LoadError),
    /// A value cannot be written into it.
    #[error("`{key}` cannot be written into the component: {detail}")]
    Value {
        /// Its key in `edgewit-plugin.toml`, or its file.
        key: &'static str,
        /// Why.
        detail: String,
    },
}

/// Custom section with the JSON Schema of the configuration.
const SCHEMA_SECTION: &str = "edgewit:config-schema";
/// Number of a custom section in a component.
const CUSTOM: u8 = 0;

/// Checks a component and writes into it what it should say of itself; gives it and what it says now.
pub fn package(bytes: &[u8], package: &Package) -> Result<(Vec<u8>, Inspection), PackageError> {
    let before = edgewit_wasm::inspect(bytes)?;
    let invalid =
        |key, e: &dyn std::fmt::Display| PackageError::Value { key, detail: format!("{e:#}") };
    let mut metadata = AddMetadata::default();
    metadata.name = AddMetadataField::Set(package.name.clone());
    metadata.version = AddMetadataField::Set(Version::new(package.version.clone()));
    if let Some(text) = &package.description {
        metadata.description = AddMetadataField::Set(Description::new(text.clone()));
    }
    if let Some(text) = &package.license {
        let licenses = Licenses::new(text).map_err(|e| invalid("license", &e))?;
        metadata.licenses = AddMetadataField::Set(licenses);
    }
    if let Some(text) = &package.source {
        let source = Source::new(text).map_err(|e| invalid("source", &e))?;
        metadata.source = AddMetadataField::Set(source);
    }
    metadata.processed_by = vec![("edgewit".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    let mut out = metadata.to_wasm(bytes).map_err(|e| invalid("name", &e))?;
    if let Some(schema) = package.config_schema.as_ref().filter(|_| before.config_schema.is_none())
    {
        append(&mut out, SCHEMA_SECTION, schema.as_bytes());
    }
    if let Some(text) = &package.golden {
        golden::parse(text.as_bytes()).map_err(|e| invalid("tests/golden.toml", &e))?;
        if crate::file::custom_section(&out, golden::SECTION).is_none() {
            append(&mut out, golden::SECTION, text.as_bytes());
        }
    }
    let after = edgewit_wasm::inspect(&out)?;
    Ok((out, after))
}

/// A custom section may stand behind everything else.
fn append(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut section = Vec::new();
    leb128(&mut section, name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(data);
    out.push(CUSTOM);
    leb128(out, section.len());
    out.extend_from_slice(&section);
}

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_written_with_their_length() {
        let mut out = Vec::new();
        append(&mut out, "ab", &[7; 200]);
        assert_eq!(out[..6], [CUSTOM, 0xcb, 0x01, 2, b'a', b'b']);
        assert_eq!(out.len(), 3 + 1 + 2 + 200);
    }
}
