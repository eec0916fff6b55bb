//! What a component says of itself: what it exports, what it imports, who made it.

use edgewit_chain::{Phase, Phases};
use edgewit_model::Grants;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasm_metadata::{Metadata, Payload};
use wit_component::DecodedWasm;
use wit_parser::{PackageName, Resolve, WorldKey};

use crate::{capability, load::LoadError};

/// The contract that this host speaks.
pub(crate) const CONTRACT: &str = "edgewit:filter@0.1.0";
/// Custom section that carries the JSON Schema of the plugin's configuration.
const SCHEMA_SECTION: &str = "edgewit:config-schema";

/// What a component says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// Its name, if it carries one.
    pub name: Option<String>,
    /// Its version, if it carries one.
    pub version: Option<String>,
    /// What it is for, if it says so.
    pub description: Option<String>,
    /// SPDX expression of its licences, if it says so.
    pub licenses: Option<String>,
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// Exported phases, in the order of an exchange.
    pub phases: Vec<String>,
    /// Does it take configuration?
    pub configurable: bool,
    /// Imported capabilities: what must be granted.
    pub capabilities: Vec<String>,
    /// Everything it exports.
    pub exports: Vec<String>,
    /// Everything it imports.
    pub imports: Vec<String>,
    /// Languages and tools that made it, as they say.
    pub producers: Vec<String>,
    /// JSON Schema of its configuration, if it carries one.
    pub config_schema: Option<String>,
    /// Does it bring a language runtime that is slow to start?
    pub interpreter: bool,
}

/// Reads what a component says of itself. Nothing is compiled or run.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, LoadError> {
    must_be_component(bytes)?;
    let invalid = |e: &dyn std::fmt::Display| LoadError::Invalid { detail: format!("{e:#}") };
    let decoded = wit_component::decode(bytes).map_err(|e| invalid(&e))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(LoadError::NotComponent { what: "a WIT package".to_owned() });
    };
    let world = resolve.worlds.get(world).ok_or_else(|| invalid(&"it has no world"))?;
    let imports = names(&resolve, world.imports.keys());
    let exports = names(&resolve, world.exports.keys());
    speaks_our_version(&resolve)?;
    let payload = Payload::from_binary(bytes).map_err(|e| invalid(&e))?;
    let metadata = payload.metadata();
    let producers = all_producers(&payload);
    Ok(Inspection {
        name: metadata.name.clone(),
        version: metadata.version.as_ref().map(ToString::to_string),
        description: metadata.description.as_ref().map(ToString::to_string),
        licenses: metadata.licenses.as_ref().map(ToString::to_string),
        size: bytes.len() as u64,
        digest: hex(&Sha256::digest(bytes)),
        phases: phases(&exports).iter().map(|p| p.as_str().to_owned()).collect(),
        configurable: exports.iter().any(|e| *e == contract("lifecycle")),
        capabilities: capabilities(&imports).map(|c| c.name.to_owned()).collect(),
        interpreter: is_interpreter(&producers),
        config_schema: config_schema(bytes),
        exports,
        imports,
        producers,
    })
}

impl Inspection {
    /// The phases as a set.
    pub(crate) fn phase_set(&self) -> Phases {
        phases(&self.exports)
    }

    /// Is it a filter, and may it have all it imports?
    pub(crate) fn check(&self, grants: &Grants) -> Result<(), LoadError> {
        if self.phases.is_empty() {
            return Err(LoadError::NoPhase { exports: self.exports.clone() });
        }
        let types = contract("types");
        let known = |import: &str| {
            import == types
                || import.starts_with("wasi:")
                || capability::TABLE.iter().any(|c| import == contract(c.name))
        };
        if let Some(unknown) = self.imports.iter().find(|i| !known(i)) {
            return Err(LoadError::UnknownImport { import: unknown.clone() });
        }
        let denied = |c: &&capability::Capability| !(c.is_granted)(grants);
        let missing: Vec<_> =
            capabilities(&self.imports).filter(denied).map(|c| c.name.to_owned()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(LoadError::NotGranted { missing, imports: self.capabilities.clone() })
    }
}

fn must_be_component(bytes: &[u8]) -> Result<(), LoadError> {
    let what = match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => return Ok(()),
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => "a core module",
        Some([0x7f, b'E', b'L', b'F', ..]) => "native code",
        _ => "no WebAssembly",
    };
    Err(LoadError::NotComponent { what: what.to_owned() })
}

/// The full name of one of our interfaces.
fn contract(interface: &str) -> String {
    CONTRACT.replacen('@', &format!("/{interface}@"), 1)
}

fn names<'a>(resolve: &Resolve, keys: impl Iterator<Item = &'a WorldKey>) -> Vec<String> {
    keys.map(|key| resolve.name_world_key(key)).collect()
}

fn speaks_our_version(resolve: &Resolve) -> Result<(), LoadError> {
    let ours = |name: &PackageName| name.namespace == "edgewit" && name.name == "filter";
    let other = resolve
        .packages
        .iter()
        .map(|(_, package)| &package.name)
        .find(|name| ours(name) && name.to_string() != CONTRACT);
    match other {
        Some(name) => Err(LoadError::WrongVersion { found: name.to_string() }),
        None => Ok(()),
    }
}

fn phases(exports: &[String]) -> Phases {
    let exported = |p: &Phase| exports.iter().any(|e| *e == contract(p.as_str()));
    Phase::ALL.into_iter().filter(exported).collect()
}

fn capabilities(imports: &[String]) -> impl Iterator<Item = &'static capability::Capability> {
    capability::TABLE.iter().filter(move |c| imports.iter().any(|i| *i == contract(c.name)))
}

fn config_schema(bytes: &[u8]) -> Option<String> {
    wasmparser::Parser::new(0).parse_all(bytes).find_map(|payload| match payload {
        Ok(wasmparser::Payload::CustomSection(section)) if section.name() == SCHEMA_SECTION => {
            String::from_utf8(section.data().to_vec()).ok()
        }
        _ => None,
    })
}

fn all_producers(payload: &Payload) -> Vec<String> {
    let line = |(field, name, version): (&String, &String, &String)| {
        format!("{field}: {name} {version}").trim().to_owned()
    };
    let mut found = Vec::new();
    for producers in metadata(payload).filter_map(|m| m.producers.as_ref()) {
        for (field, values) in producers.iter() {
            found.extend(values.iter().map(|(name, version)| line((field, name, version))));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn metadata(payload: &Payload) -> Box<dyn Iterator<Item = &Metadata> + '_> {
    match payload {
        Payload::Module(metadata) => Box::new(std::iter::once(metadata)),
        Payload::Component { metadata: own, children } => {
            Box::new(std::iter::once(own).chain(children.iter().flat_map(metadata)))
        }
    }
}

fn is_interpreter(producers: &[String]) -> bool {
    let slow = ["componentize-py", "ComponentizeJS", "language: JavaScript", "language: Python"];
    producers.iter().any(|p| slow.iter().any(|s| p.contains(s)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
