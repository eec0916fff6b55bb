//! The running configuration and everything that changes it. One change at a time, all or nothing.

mod command;

mod error;

mod fallback;

mod spare;

mod tell;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use edgewit_config::{Loaded, Report};
use edgewit_model::{Config, FilterUse, Plugin, PluginName};
use edgewit_proxy::{Adopted, Proxy};
use edgewit_telemetry::{Log, Metrics};
use edgewit_wasm::Runtime;
use tokio::sync::watch;

use crate::{
    assemble::{AssembleError, World, assemble},
    cache_dir::CacheDir,
    file::{Component, FileError},
    folder::Wanted,
    gauges::Gauges,
    prepare::{self, Prepared, PreparedPlugins},
    problem::Problem,
    source::{Overrides, Read, Source},
    status::{Counts, Status},
    stock::{self, Pins, Refused, Stock},
    summary::Summary,
    versions::{State, Versions},
    watch::{ConfigFiles, FileChange, Watched},
    watchman::Watchman,
};

pub(crate) use command::{Command, CommandError, Done};
use fallback::Probation;
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
    watched: watch::Sender<Arc<Watched>>,
}

/// What outlives every change.
pub(crate) struct Parts {
    pub(crate) source: Source,
    pub(crate) overrides: Overrides,
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
    fn read(&self) -> Result<(Read, Option<ConfigFiles>), Report> {
        self.source.read_for(&self.overrides, self.watch_config)
    }
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
        refuse_used(&stock.refused, read.loaded.as_ref())?;
        let watched = Watched { plugins: Wanted::of(&read.config, &stock.plugins), config: files };
        let loaded = read.loaded;
        let none = BTreeSet::new();
        let world = make(1, read.config, &stock.plugins, &none, &parts.metrics, None)
            .map_err(|e| Report::from(e.diagnostic(loaded.as_ref())))?;
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
            watched: watch::Sender::new(Arc::new(watched)),
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
    pub(crate) fn watched(&self) -> watch::Receiver<Arc<Watched>> {
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
        let (read, files) = self.parts.read()?;
        let stock = stock::gather(
            &self.parts.runtime,
            &self.parts.watchman,
            &read.config,
            &self.plugins,
            &self.refused,
            &self.pins,
        );
        refuse_used(&stock.refused, read.loaded.as_ref())?;
        let warnings = read.warnings();
        let watched = Watched { plugins: Wanted::of(&read.config, &stock.plugins), config: files };
        let mut changed = crate::diff::diff(&self.world.config, &read.config);
        changed.extend(self.swapped(&stock));
        for key in crate::diff::needs_restart(&self.world.config, &read.config) {
            tracing::warn!(key, "the change counts after a restart");
        }
        let generation = self.world.snapshot.generation() + 1;
        let metrics = &self.parts.metrics;
        let (plugins, disabled) = (&stock.plugins, &self.disabled);
        let world = make(generation, read.config, plugins, disabled, metrics, Some(&self.world))
            .map_err(|e| Report::from(e.diagnostic(read.loaded.as_ref())))?;
        self.must_not_drain()?;
        self.proxy.apply(&world.config.listeners, Arc::clone(&world.snapshot))?;
        self.world = world;
        self.take_stock(stock);
        self.watched.send_replace(Arc::new(watched));
        self.parts.set_log_level(&self.world.config);
        self.tell_live();
        Ok(Changed { generation, changed, warnings, took: begun.elapsed() })
    }

    /// A reload would listen again.
    fn must_not_drain(&self) -> Result<(), ChangeError> {
        if self.parts.status.is_ready() { Ok(()) } else { Err(ChangeError::Draining) }
    }

    /// Puts what happened to files of plugins that routes use before the rest: each may have to be compiled, and whoever waits
    /// for one that is in use does not wait for what else lies there.
    pub(crate) fn by_urgency(&self, mut changes: Vec<FileChange>) -> Vec<FileChange> {
        let used = stock::used(&self.world.config);
        changes.sort_by_key(|change| !used.contains(&change.name));
        changes
    }

    /// Takes in what happened to the file of a plugin.
    pub(crate) fn plugin_changed(&mut self, change: FileChange) {
        let begun = Instant::now();
        let FileChange { name, path, limit, found } = change;
        let used = stock::used(&self.world.config).contains(&name);
        let known = self.plugins.get(&name).cloned();
        let component = Component::read(&path, limit);
        let digest = component.as_ref().map(|component| component.digest).map_err(Clone::clone);
        match &digest {
            // It has changed since it was seen; a reload in between has made the new one live, or it will be seen again.
            now if *now != found => return,
            Ok(digest) if self.pins.get(&name).is_some_and(|pin| pin.instead_of == *digest) => {
                return; // the very content that was decided against
            }
            Err(FileError::Missing) => return self.plugin_gone(&name, used),
            Ok(digest) if known.as_ref().is_some_and(|known| known.digest == *digest) => {
                self.pins.remove(&name);
                if self.astray.remove(&name) {
                    let digest = digest.short();
                    tracing::info!(plugin = %name, digest, "the file is the loaded version again");
                    self.tell_standing(&name);
                }
                return;
            }
            _ => {}
        }
        self.astray.remove(&name);
        let plugin = stock::plugin_of(&self.world.config, &name, path.clone());
        let prepared = self.load(&plugin, component, known.as_deref());
        let swapped = prepared.and_then(|prepared| {
            let swapped = self.swap(&name, Arc::new(prepared), used);
            swapped.map(|generation| (generation, begun.elapsed()))
        });
        match swapped {
            Ok((generation, took)) => {
                self.unpin(&name);
                self.tell_swap(&name, known.as_deref(), generation, took);
            }
            Err(problems) => {
                let settings = prepare::wanted(&self.world.config, &plugin);
                let digest = digest.ok();
                let refused = Refused { name, path, digest, problems, used, settings };
                self.refuse(refused, known.as_deref());
            }
        }
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

    /// What served before serves on.
    fn refuse(&mut self, refused: Refused, serving: Option<&Prepared>) {
        if serving.is_some() {
            self.astray.insert(refused.name.clone());
        } else if refused.is_known(&self.refused) {
            return; // the first look at the folder after the start sees what the start has seen
        }
        self.parts.tell_refused(&refused, serving);
        self.parts.count_swap(&refused.name, "refused");
        self.refused.retain(|r| r.name != refused.name);
        let name = refused.name.clone();
        self.refused.push(refused);
        self.tell_standing(&name);
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

    fn plugin_gone(&mut self, name: &PluginName, used: bool) {
        if used {
            self.astray.insert(name.clone());
            let message =
                "the file is gone; the loaded version serves on, but a reload needs the file";
            tracing::warn!(plugin = %name, "{message}");
            self.parts.status.event("refused", format!("`{name}`: {message}"));
            self.tell_standing(name);
            return;
        }
        self.spares.remove(name);
        self.disabled.remove(name);
        self.pins.remove(name);
        self.refused.retain(|refused| refused.name != *name);
        if self.plugins.remove(name).is_some() {
            self.parts.versions.retire(name);
            self.tell_live();
            tracing::info!(plugin = %name, "removed");
        }
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
fn refuse_used(refused: &[Refused], loaded: Option<&Loaded>) -> Result<(), Report> {
    let mut report = Report::default();
    let problems = refused.iter().filter(|r| r.used).flat_map(|r| &r.problems);
    report.extend(problems.map(|problem| problem.diagnostic(loaded)));
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
    let find = |plugin: &Plugin, place: &FilterUse| prepare::find(plugins, disabled, plugin, place);
    assemble(generation, config, &find, metrics, before)
}
