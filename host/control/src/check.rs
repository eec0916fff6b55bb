//! `edgewit check`: everything that a start would find, without starting.

use std::{collections::BTreeSet, sync::Arc};

use edgewit_config::Report;
use edgewit_model::{FilterUse, Plugin, RouteName};
use edgewit_telemetry::Metrics;
use edgewit_wasm::{Compiler, Runtime, RuntimeError, Settings};
use serde::Serialize;

use crate::{
    assemble::assemble,
    cache_dir::CacheDir,
    prepare::{self, PreparedPlugins},
    server::own_program,
    source::{Overrides, Source},
    status::Counts,
    stock::{self, Pins, Refused},
    watchman::Watchman,
};

/// What a check has found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checked {
    /// What the configuration has, if it could be read.
    pub counts: Option<Counts>,
    /// Errors and warnings.
    pub diagnostics: Report,
    /// Plugins that cannot be used, but that no route uses either.
    pub unused: Vec<String>,
}

/// There could be no check.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No place for compiled code.
    #[error("there is no folder for compiled plugins")]
    Folder(#[from] std::io::Error),
    /// No engine.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Each plugin makes one at a time.
const INSTANCES: u32 = 8;

/// Reads the configuration, loads every plugin with every configuration that it is used with, and puts all of it together.
/// `compiler`: as in [`Options`](crate::Options). Blocks.
pub fn check(
    source: &Source,
    overrides: &Overrides,
    compiler: Option<Compiler>,
) -> Result<Checked, CheckError> {
    let read = match source.read(overrides) {
        Ok(read) => read,
        Err(diagnostics) => return Ok(Checked { diagnostics, ..Checked::default() }),
    };
    let mut diagnostics = read.warnings();
    let (metrics, origin) = (Metrics::new(1), read.origin.as_ref());
    let folder = CacheDir::new(&read.config)?;
    let runtime = Runtime::new(Settings {
        compiler: compiler.unwrap_or_else(own_program),
        cache_dir: folder.path(),
        metrics: Arc::clone(metrics.plugins()),
        instances: INSTANCES,
    })?;
    let stock = stock::gather(
        &runtime,
        &Watchman::new(&metrics, None),
        &read.config,
        &PreparedPlugins::new(),
        &[],
        &Pins::new(),
    );
    let (used, unused): (Vec<_>, Vec<_>) = stock.refused.iter().partition(|r| r.used);
    let problems = used.iter().flat_map(|refused| &refused.problems);
    diagnostics.extend(problems.map(|problem| problem.diagnostic(origin)));
    let counts = Counts::of(&read.config);
    if used.is_empty() {
        // Opening the log would make its file.
        let mut config = read.config.clone();
        config.telemetry.access_log = None;
        let disabled = BTreeSet::new();
        let find = |plugin: &Plugin, place: &FilterUse, route: &RouteName| {
            prepare::find(&stock.plugins, &disabled, plugin, place, route)
        };
        if let Err(error) = assemble(1, config, &find, &metrics, None) {
            diagnostics.push(error.diagnostic(origin));
        }
    }
    let unused = unused.into_iter().flat_map(told).collect();
    Ok(Checked { counts: Some(counts), diagnostics, unused })
}

fn told(refused: &Refused) -> impl Iterator<Item = String> {
    refused.problems.iter().map(|problem| format!("{}: {problem}", problem.code().id()))
}
