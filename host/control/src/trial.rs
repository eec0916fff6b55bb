//! `edgewit plugin test`: cases that run in the host's own code, without sockets.
//!
//! Each case has a runtime of its own, so that neither instances nor key-value stores nor token buckets of one case are
//! seen by another. Time is real: a case that needs a filter to wait, waits.

mod case;

mod judge;

mod log;

mod play;

pub(crate) mod golden;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_chain::{Chain, Filter};
use edgewit_model::{OnError, Plugin, RequestLimits};
use edgewit_wasm::{Compiler, LoadError, Runtime, RuntimeError, Settings};
use serde::Serialize;

pub use case::{
    Action, Case, Expect, ExpectedRequest, Fail, Field, Limits, Origin, Origins, Request, Suite,
    Values,
};
pub use judge::Mismatch;
pub use play::{Outcome, Sent};

use crate::inspect;
use log::Recorder;

/// What became of a case.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Name of the case.
    pub name: String,
    /// What happened; `None` if the filter could not be loaded.
    pub outcome: Option<Outcome>,
    /// Why the filter could not be loaded.
    pub error: Option<String>,
    /// What was expected and did not happen.
    pub mismatches: Vec<Mismatch>,
    /// How long it took, without compiling.
    #[serde(skip)]
    pub took: Duration,
}

/// A case could not even be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// No place for compiled code.
    #[error("there is no temporary folder")]
    Folder(#[source] std::io::Error),
    /// No engine.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Instances that may be alive in one case: one filter, one request.
const INSTANCES: u32 = 4;

/// Runs all cases of a suite against a component, one after the other. `told` is called after each. Blocks.
pub fn run(
    component: &[u8],
    suite: &Suite,
    mut told: impl FnMut(&Verdict),
) -> Result<Vec<Verdict>, TrialError> {
    let cache = tempfile::tempdir().map_err(TrialError::Folder)?;
    let mut verdicts = Vec::new();
    for case in &suite.cases {
        let verdict = try_case(component, suite, case, cache.path())?;
        told(&verdict);
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn try_case(
    component: &[u8],
    suite: &Suite,
    case: &Case,
    cache: &Path,
) -> Result<Verdict, TrialError> {
    let runtime = Runtime::new(Settings {
        compiler: Compiler::InProcess,
        cache_dir: cache.to_path_buf(),
        metrics: Arc::default(),
        instances: INSTANCES,
    })?;
    let recorder = Recorder::default();
    let plugin = plugin(suite, case);
    let name = case.name.clone();
    let loaded = recorder.record(|| runtime.load(component, &plugin, &plugin.config));
    Ok(match loaded {
        Ok(filter) => play_case(filter, case, &recorder),
        Err(error) => Verdict::not_loaded(name, case, &error),
    })
}

/// Plays one case against a filter whose failures reject.
fn play_case(filter: Arc<dyn Filter>, case: &Case, recorder: &Recorder) -> Verdict {
    let name = case.name.clone();
    let link = edgewit_chain::Link {
        filter,
        on_error: OnError::Reject,
        observer: Arc::new(recorder.clone()),
        breaker: None,
    };
    let chain = Arc::new(Chain::new(vec![link], RequestLimits::default().fuel));
    let begun = Instant::now();
    let played = recorder.record(|| play::play(&chain, case));
    let took = begun.elapsed();
    match played {
        Ok(mut outcome) => {
            outcome.log = recorder.lines();
            let mismatches = judge::judge(&case.expect, &outcome);
            Verdict { name, outcome: Some(outcome), error: None, mismatches, took }
        }
        Err(error) => {
            Verdict { name, outcome: None, error: Some(error), mismatches: Vec::new(), took }
        }
    }
}

fn plugin(suite: &Suite, case: &Case) -> Plugin {
    let mut plugin = inspect::plugin(None);
    plugin.config = suite.config.clone();
    plugin.config.extend(case.config.clone().unwrap_or_default());
    plugin.limits.fuel = suite.limits.fuel.unwrap_or(plugin.limits.fuel);
    plugin
}

impl Verdict {
    /// Did everything happen as expected?
    pub fn passed(&self) -> bool {
        self.error.is_none() && self.mismatches.is_empty()
    }

    fn not_loaded(name: String, case: &Case, error: &LoadError) -> Self {
        let refused = matches!(error, LoadError::Config { .. });
        let text = format!("the filter {error}");
        let (error, mismatches) = match &case.expect.config_error {
            Some(part) if refused && text.contains(part.as_str()) => (None, Vec::new()),
            Some(part) if refused => {
                let expected = format!("with `{part}`");
                (None, vec![Mismatch { what: "config-error".to_owned(), expected, found: text }])
            }
            _ => (Some(text), Vec::new()),
        };
        Self { name, outcome: None, error, mismatches, took: Duration::ZERO }
    }
}
