//! The running configuration and everything that changes it. One change at a time, all or nothing.

mod command;

mod error;

mod parts;

mod plugin_file;

mod fallback;

mod spare;

mod tell;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_config::{Origin, Report};
use edgewit_model::{Config, FilterUse, Plugin, PluginName, RouteName};
use edgewit_proxy::{Adopted, Proxy};
use edgewit_telemetry::Metrics;
use tokio::sync::watch;

use crate::{
    assemble::{AssembleError, World, assemble},
    file::{Component, FileError},
    folder::Wanted,
    prepare::{self, Prepared, PreparedPlugins},
    problem::Problem,
    source::Read,
    status::Counts,
    stock::{self, Pins, Refused, Stock},
    summary::Summary,
    versions::State,
    watch::{ConfigFiles, Watched},
};

pub(crate) use command::{Command, CommandError, Done};
use fallback::Probation;
pub(crate) use parts::Parts;
use spare::Spares;

pub use error::{ChangeError, StartError};

/// The running configuration and everything that changes it. Its methods block; whoever calls them holds a lock.
pub(crate) struct Live {
    parts: Parts,
    world: World,
    plugins: PreparedPlugins,
    /// Plugins that could not be loaded when everything was.
    refused: Vec<Refused>,
    /// Plugins whose file is not the version that serves: gone, refused, or another one was wanted by command.
    astray: BTreeSet<PluginName>,
    /// Versions that serve in the place of what is in the file.
    pins: Pins,
    /// Versions that do not serve, but could at once.
    spares: BTreeMap<PluginName, Spares>,
    /// Plugins that the operator has taken out of all chains.
    disabled: BTreeSet<PluginName>,
    /// Versions that have not proved themselves yet.
    probations: BTreeMap<PluginName, Probation>,
    proxy: Arc<Proxy>,
    watched: watch::Sender<Watched>,
}

/// What a change has brought.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Number of the generation that serves now.
    pub generation: u64,
    /// Names of what is different.
    pub changed: Vec<String>,
    /// What is allowed, but probably not meant.
    pub warnings: Report,
    /// How long it took.
    pub took: Duration,
}

impl Live {
    /// Loads plugins and makes everything live for the first time.
    pub(crate) fn start(
        parts: Parts,
        (read, files): (Read, Option<ConfigFiles>),
        workers: usize,
        adopted: Vec<Adopted>,
        begun: Instant,
    ) -> Result<(Self, Summary), StartError> {
        let stock = stock::gather(
            &parts.runtime,
            &parts.watchman,
            &read.config,
            &PreparedPlugins::new(),
            &[],
            &Pins::new(),
        );
        refuse_used(&stock.refused, read.origin.as_ref())?;
        let wanted = Wanted::of(&read.config, &stock.plugins, &stock.refused);
        let watched = Watched { plugins: wanted.into(), config: files.map(Arc::new) };
        let origin = read.origin;
        let none = BTreeSet::new();
        let world = make(1, read.config, &stock.plugins, &none, &parts.metrics, None)
            .map_err(|e| Report::from(e.diagnostic(origin.as_ref())))?;
        let proxy = Proxy::start(Some(workers), &parts.metrics, Arc::clone(&world.snapshot))
            .map_err(StartError::Workers)?;
        proxy.adopt(adopted);
        proxy.apply(&world.config.listeners, Arc::clone(&world.snapshot))?;
        let mut live = Self {
            parts,
            world,
            plugins: PreparedPlugins::new(),
            refused: Vec::new(),
            astray: BTreeSet::new(),
            pins: Pins::new(),
            spares: BTreeMap::new(),
            disabled: BTreeSet::new(),
            probations: BTreeMap::new(),
            proxy: Arc::new(proxy),
            watched: watch::Sender::new(watched),
        };
        live.take_stock(stock);
        live.tell_live();
        live.parts.gauges.reloaded(true);
        let summary = Summary::new(begun.elapsed(), live.counts(), &live.plugins, 1);
        live.parts.status.event("start", summary.to_string());
        Ok((live, summary))
    }

    /// The proxy that serves.
    pub(crate) fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// What outlives every change.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What has to be watched, now and after every change.
    pub(crate) fn watched(&self) -> watch::Receiver<Watched> {
        self.watched.subscribe()
    }

    /// Reads everything anew, as a start would, and makes it live.
    pub(crate) fn reload(&mut self) -> Result<Changed, ChangeError> {
        let begun = Instant::now();
        let result = self.try_reload(begun);
        self.tell_reload(&result, begun);
        result
    }

    fn try_reload(&mut self, begun: Instant) -> Result<Changed, ChangeError> {
        self.must_not_drain()?;
        let read = self.read()?;
        let stock = stock::gather(
            &self.parts.runtime,
            &self.parts.watchman,
            &read.config,
            &self.plugins,
            &self.refused,
            &self.pins,
        );
        refuse_used(&stock.refused, read.origin.as_ref())?;
        let warnings = read.warnings();
        let wanted = Arc::new(Wanted::of(&read.config, &stock.plugins, &stock.refused));
        let mut changed = crate::diff::diff(&self.world.config, &read.config);
        changed.extend(self.swapped(&stock));
        for key in crate::diff::needs_restart(&self.world.config, &read.config) {
            tracing::warn!(key, "the change counts after a restart");
        }
        let generation = self.world.snapshot.generation() + 1;
        let metrics = &self.parts.metrics;
        let (plugins, disabled) = (&stock.plugins, &self.disabled);
        let world = make(generation, read.config, plugins, disabled, metrics, Some(&self.world))
            .map_err(|e| Report::from(e.diagnostic(read.origin.as_ref())))?;
        self.must_not_drain()?;
        self.proxy.apply(&world.config.listeners, Arc::clone(&world.snapshot))?;
        self.world = world;
        self.take_stock(stock);
        self.watched.send_modify(|watched| watched.plugins = wanted);
        self.parts.set_log_level(&self.world.config);
        self.tell_live();
        Ok(Changed { generation, changed, warnings, took: begun.elapsed() })
    }

    /// Reads the configuration. From now on its files are compared with what was read, good or bad.
    fn read(&mut self) -> Result<Read, Report> {
        let before = self.watched.borrow().config.clone();
        let (read, files) = self.parts.read(before.as_deref());
        self.watched.send_modify(|watched| watched.config = files.map(Arc::new));
        read
    }

    /// A reload would listen again.
    fn must_not_drain(&self) -> Result<(), ChangeError> {
        if self.parts.status.is_ready() { Ok(()) } else { Err(ChangeError::Draining) }
    }

    /// Loads a version for the configuration that serves.
    fn load(
        &self,
        plugin: &Plugin,
        component: Result<Component, FileError>,
        known: Option<&Prepared>,
    ) -> Result<Prepared, Vec<Problem>> {
        let Parts { runtime, watchman, .. } = &self.parts;
        stock::load(runtime, watchman, &self.world.config, plugin, component, known)
    }

    /// Makes another version of a plugin the one that serves; gives the generation, which changes only if a route uses it.
    fn swap(
        &mut self,
        name: &PluginName,
        prepared: Arc<Prepared>,
        used: bool,
    ) -> Result<u64, Vec<Problem>> {
        let mut plugins = self.plugins.clone();
        plugins.insert(name.clone(), prepared);
        let mut generation = self.world.snapshot.generation();
        if used {
            generation += 1;
            let (config, metrics) = (self.world.config.clone(), &self.parts.metrics);
            let disabled = &self.disabled;
            let world = make(generation, config, &plugins, disabled, metrics, Some(&self.world));
            let world = world.map_err(|error| {
                tracing::error!(error = %crate::error::chain(&error), "a swap has failed");
                Vec::new()
            })?;
            self.proxy.swap(Arc::clone(&world.snapshot));
            self.world = world;
        }
        let before = std::mem::replace(&mut self.plugins, plugins).remove(name);
        self.replaced(name, before);
        self.refused.retain(|refused| refused.name != *name);
        self.tell_live();
        Ok(generation)
    }

    /// Plugins of which another version serves after this.
    fn swapped(&self, stock: &Stock) -> Vec<String> {
        let other = |name: &PluginName, prepared: &Prepared| {
            self.plugins.get(name).is_some_and(|known| known.digest != prepared.digest)
        };
        let swapped = stock.plugins.iter().filter(|(name, prepared)| other(name, prepared));
        swapped.map(|(name, _)| format!("~plugins/{name}.wasm")).collect()
    }

    /// Puts down the plugins of a start or reload.
    fn take_stock(&mut self, stock: Stock) {
        for name in self.plugins.keys().filter(|name| !stock.plugins.contains_key(*name)) {
            self.parts.versions.retire(name);
        }
        let used = stock::used(&self.world.config);
        for (name, prepared) in &stock.plugins {
            let state = if used.contains(name) { State::Active } else { State::Unused };
            let known = self.plugins.get(name);
            match known.is_some_and(|known| known.is_same_as(prepared)) {
                true => self.parts.versions.mark(name, state),
                false => self.parts.versions.record(name, prepared.as_version(state)),
            }
        }
        for refused in stock.refused.iter().filter(|r| !r.is_known(&self.refused)) {
            self.parts.tell_refused(refused, None);
        }
        let before = std::mem::replace(&mut self.plugins, stock.plugins);
        self.refused = stock.refused;
        for name in stock.unpinned {
            self.unpin(&name);
        }
        self.astray.retain(|name| self.pins.contains_key(name));
        for (name, before) in before {
            if self.plugins.get(&name).is_some_and(|now| now.digest != before.digest) {
                self.replaced(&name, Some(before));
            }
        }
        self.spares.retain(|name, _| self.plugins.contains_key(name));
        self.disabled.retain(|name| self.plugins.contains_key(name));
        let names: Vec<_> = self.plugins.keys().cloned().collect();
        names.iter().for_each(|name| self.tell_standing(name));
    }

    fn counts(&self) -> Counts {
        Counts::of(&self.world.config)
    }
}

/// A plugin that a route uses has to serve; any other may be as it likes.
fn refuse_used(refused: &[Refused], origin: Option<&Origin>) -> Result<(), Report> {
    let mut report = Report::default();
    let problems = refused.iter().filter(|r| r.used).flat_map(|r| &r.problems);
    report.extend(problems.map(|problem| problem.diagnostic(origin)));
    if report.is_empty() { Ok(()) } else { Err(report) }
}

fn make(
    generation: u64,
    config: Config,
    plugins: &PreparedPlugins,
    disabled: &BTreeSet<PluginName>,
    metrics: &Arc<Metrics>,
    before: Option<&World>,
) -> Result<World, AssembleError> {
    let find = |plugin: &Plugin, place: &FilterUse, route: &RouteName| {
        prepare::find(plugins, disabled, plugin, place, route)
    };
    assemble(generation, config, &find, metrics, before)
}
