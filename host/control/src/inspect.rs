//! `edgewit plugin inspect`: what a component is, and what it is like with an empty configuration.

use std::{path::Path, sync::Arc};

use edgewit_model::{
    ByteSize, Grants, Namespace, OnError, Plugin, PluginLimits, PluginName, RequestLimits,
};
use edgewit_wasm::{Compiler, Inspection, LoadError, PluginInfo, Runtime, Settings};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::usage::LimitsView;

/// What is known of a component.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspected {
    /// What it says of itself.
    #[serde(flatten)]
    pub inspection: Inspection,
    /// What it is like once it is loaded, if it takes an empty configuration.
    pub loaded: Option<PluginInfo>,
    /// Why it could not be loaded so.
    pub not_loaded: Option<String>,
    /// What it may use unless the configuration says otherwise. What it uses is known where it runs.
    pub limits: LimitsView,
}

/// Looks at a component, with all that it may ask for granted. Blocks.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, LoadError> {
    let inspection = edgewit_wasm::inspect(bytes)?;
    let loaded = load(bytes, &inspection);
    let (loaded, not_loaded) = match loaded {
        Ok(info) => (Some(info), None),
        Err(why) => (None, Some(why)),
    };
    let limits = LimitsView::new(&PluginLimits::default(), &RequestLimits::default());
    Ok(Inspected { inspection, loaded, not_loaded, limits })
}

fn load(bytes: &[u8], inspection: &Inspection) -> Result<PluginInfo, String> {
    let cache = tempfile::tempdir().map_err(|e| format!("there is no temporary folder: {e}"))?;
    let runtime = Runtime::new(Settings {
        compiler: Compiler::InProcess,
        cache_dir: cache.path().to_path_buf(),
        metrics: Arc::default(),
        instances: 1,
    });
    let runtime = runtime.map_err(|e| crate::error::chain(&e))?;
    let filter = runtime.load(bytes, &plugin(inspection.name.as_deref()), &Map::<_, Value>::new());
    filter.map(|filter| filter.info().clone()).map_err(|e| e.to_string())
}

/// A plugin that may do everything, to be looked at.
pub(crate) fn plugin(name: Option<&str>) -> Plugin {
    let own = name.and_then(|name| PluginName::new(name).ok());
    let fixed = || PluginName::new("plugin").expect("a fixed name that is valid");
    Plugin {
        name: own.unwrap_or_else(fixed),
        path: Path::new("").to_path_buf(),
        on_error: OnError::Reject,
        isolation: None,
        namespace: Namespace::default(),
        allow: Grants { kv: true, rate: true, ..Grants::default() },
        limits: PluginLimits { file_size: ByteSize(u64::MAX), ..PluginLimits::default() },
        config: Map::new(),
        quarantine: None,
        fallback: false,
    }
}
