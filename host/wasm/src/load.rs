//! From the bytes of a component to a filter that serves.

use edgewit_model::Plugin;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{sync::Arc, time::Instant};

use crate::{
    cache::Key,
    capability::Shared,
    child,
    compile::{self, Compiled, Job},
    filter::WasmFilter,
    runtime::{Compiler, Runtime},
};

/// Why a component does not become a filter. Each has its code, as in `edgewit explain`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadError {
    /// Something else than a component.
    #[error("is {what}, not a component")]
    NotComponent {
        /// What it is.
        what: String,
    },
    /// A contract of another version.
    #[error("was built for {found}, this host speaks {}", crate::inspect::CONTRACT)]
    WrongVersion {
        /// Package with its version.
        found: String,
    },
    /// `configure` said no, or was stopped.
    #[error("refuses its configuration: {message}")]
    Config {
        /// What the plugin said.
        message: String,
    },
    /// An import without a grant.
    #[error("wants a capability that is not granted: imports {}", interfaces(missing))]
    NotGranted {
        /// The names of those that are not granted.
        missing: Vec<String>,
        /// The names of all that it imports.
        imports: Vec<String>,
    },
    /// An import that nobody provides.
    #[error("imports `{import}`, which this host does not have")]
    UnknownImport {
        /// Its full name.
        import: String,
    },
    /// Nothing to call.
    #[error("exports no phase of {}; its exports: {}", crate::inspect::CONTRACT, list(exports))]
    NoPhase {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// The validator refused it.
    #[error("is not valid: {detail}")]
    Invalid {
        /// What the validator said.
        detail: String,
    },
    /// The file is larger than it may be.
    #[error("has {size} bytes, limit {limit}")]
    TooLarge {
        /// Bytes of the file.
        size: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The compiler process met its limits.
    #[error("could not be compiled within its limits: {detail}")]
    Compile {
        /// What happened.
        detail: String,
    },
    /// Functions of other types than the contract has.
    #[error("does not fit the contract: {detail}")]
    Contract {
        /// The difference.
        detail: String,
    },
    /// A fault on our side.
    #[error("could not be loaded: {detail}")]
    Host {
        /// What failed on our side.
        detail: String,
    },
}

fn interfaces(names: &[String]) -> String {
    let full: Vec<_> = names.iter().map(|name| format!("`edgewit:filter/{name}`")).collect();
    full.join(", ")
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

impl LoadError {
    /// The code of the diagnostic.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::NotComponent { .. } | LoadError::TooLarge { .. } => "E0401",
            LoadError::WrongVersion { .. }
            | LoadError::UnknownImport { .. }
            | LoadError::NoPhase { .. }
            | LoadError::Contract { .. } => "E0402",
            LoadError::Config { .. } => "E0403",
            LoadError::NotGranted { .. } => "E0404",
            LoadError::Invalid { .. } | LoadError::Compile { .. } => "E0406",
            LoadError::Host { .. } => "E0407",
        }
    }

    /// What to do about it, if there is one thing to do.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            LoadError::NotComponent { what } if what == "a core module" => {
                "build it for the target wasm32-wasip2, whose output is a component".to_owned()
            }
            LoadError::WrongVersion { .. } => {
                "rebuild it with the SDK of this version: edgewit plugin build".to_owned()
            }
            LoadError::NotGranted { missing, .. } => {
                let grants: Vec<_> = missing.iter().map(|name| format!("{name} = true")).collect();
                format!("allow = {{ {} }}", grants.join(", "))
            }
            LoadError::NoPhase { .. } => {
                "with the Rust SDK, name the phases in edgewit_sdk::export!".to_owned()
            }
            LoadError::TooLarge { .. } => "raise limits.file-size of the plugin".to_owned(),
            _ => return None,
        })
    }
}

impl Runtime {
    /// Makes a filter of a component, with one configuration (the plugin's own, overlaid with that of its place in a chain).
    ///
    /// Blocks for as long as compiling takes, unless the cache has it. Nothing of the component runs in this process before
    /// it has been validated, checked against its grants, configured and compiled elsewhere.
    pub fn load(
        &self,
        bytes: &[u8],
        plugin: &Plugin,
        config: &Map<String, Value>,
    ) -> Result<Arc<WasmFilter>, LoadError> {
        self.load_with(bytes, plugin, config, self.shared(&plugin.name))
    }

    /// The same, but with a key-value store, token buckets and metrics of its own: to try a component out without leaving
    /// a trace in what the plugin of that name has.
    pub fn load_apart(
        &self,
        bytes: &[u8],
        plugin: &Plugin,
        config: &Map<String, Value>,
    ) -> Result<Arc<WasmFilter>, LoadError> {
        self.load_with(bytes, plugin, config, Self::apart(&plugin.name))
    }

    fn load_with(
        &self,
        bytes: &[u8],
        plugin: &Plugin,
        config: &Map<String, Value>,
        shared: Arc<Shared>,
    ) -> Result<Arc<WasmFilter>, LoadError> {
        let begun = Instant::now();
        let limit = plugin.limits.file_size.0;
        if bytes.len() as u64 > limit {
            return Err(LoadError::TooLarge { size: bytes.len() as u64, limit });
        }
        let job = Job::new(plugin, config);
        let key = Key::new(bytes, &job);
        let (compiled, from_cache) = match self.cache.get(&key) {
            Some(compiled) => (compiled, true),
            None => {
                let compiled = self.compile(&job, bytes)?;
                self.cache.put(&key, &compiled);
                (compiled, false)
            }
        };
        WasmFilter::new(self, shared, plugin, compiled, job.config, from_cache, begun)
    }

    fn compile(&self, job: &Job, bytes: &[u8]) -> Result<Compiled, LoadError> {
        // One at a time: a folder full of bombs costs one processor, not all.
        let _one = self.compiling.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &self.compiler {
            Compiler::InProcess => compile::compile(job, bytes),
            Compiler::Child { program, args } => child::compile(program, args, job, bytes),
        }
    }
}
