//! What outlives every change.

use std::sync::{Arc, atomic::AtomicBool};

use edgewit_config::{Memo, Report};
use edgewit_telemetry::{Log, Metrics};
use edgewit_wasm::Runtime;

use crate::{
    cache_dir::CacheDir,
    gauges::Gauges,
    source::{Overrides, Read, Source},
    status::Status,
    versions::Versions,
    watch::ConfigFiles,
    watchman::Watchman,
};

/// What outlives every change.
pub(crate) struct Parts {
    pub(crate) source: Source,
    pub(crate) overrides: Overrides,
    pub(crate) memo: Memo,
    pub(crate) watch_config: bool,
    pub(crate) runtime: Arc<Runtime>,
    /// As long as there is a runtime, its folder has to be there.
    pub(crate) _cache: CacheDir,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) gauges: Gauges,
    pub(crate) watchman: Watchman,
    /// Is any version on probation? So that nobody takes the lock to find out that there is none.
    pub(crate) on_probation: Arc<AtomicBool>,
    pub(crate) status: Arc<Status>,
    pub(crate) versions: Arc<Versions>,
    pub(crate) log: Option<Log>,
    /// Gives memory back that is not needed any more.
    pub(crate) give_back: fn(),
}

impl Parts {
    /// Reads the configuration. `before`: what was watched so far.
    pub(super) fn read(
        &mut self,
        before: Option<&ConfigFiles>,
    ) -> (Result<Read, Report>, Option<ConfigFiles>) {
        self.source.read_for(&self.overrides, &mut self.memo, self.watch_config, before)
    }
}
