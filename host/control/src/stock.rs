//! All plugins there are, loaded: those that routes use, and those that lie in the folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use edgewit_model::{Config, Plugin, PluginName};
use edgewit_wasm::Runtime;

use crate::{
    Digest,
    file::{Component, FileError},
    folder::{Wanted, undeclared},
    prepare::{Prepared, PreparedPlugins, Wanting, wanted},
    problem::{Cause, Problem},
    watchman::Watchman,
};

/// What became of all plugins.
#[derive(Default)]
pub(crate) struct Stock {
    /// Those that can serve.
    pub(crate) plugins: PreparedPlugins,
    /// Those that cannot, used or not.
    pub(crate) refused: Vec<Refused>,
    /// Pins that hold no more: their files have changed.
    pub(crate) unpinned: Vec<PluginName>,
}

/// A version that serves in the place of what is in the plugin's file, until the file changes.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    /// The version that serves.
    pub(crate) component: Component,
    /// What was in the file when this was decided.
    pub(crate) instead_of: Digest,
}

/// Pins by plugin.
pub(crate) type Pins = BTreeMap<PluginName, Pin>;

/// A plugin that cannot serve.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) name: PluginName,
    pub(crate) path: PathBuf,
    pub(crate) digest: Option<Digest>,
    pub(crate) problems: Vec<Problem>,
    /// Does a route use it?
    pub(crate) used: bool,
    /// What it was wanted with.
    pub(crate) settings: Vec<Wanting>,
}

impl Refused {
    /// What was in its file.
    pub(crate) fn content(&self) -> Option<Result<Digest, FileError>> {
        let unread = self.problems.iter().find_map(|problem| match &problem.cause {
            Cause::File { error, .. } => Some(error.clone()),
            _ => None,
        });
        self.digest.map(Ok).or(unread.map(Err))
    }

    /// Would loading it again be the same again? A plugin that a route uses gets another chance: a child process may have
    /// had too little time on a busy machine.
    fn still_holds(&self, digest: Option<Digest>, settings: &[Wanting]) -> bool {
        !self.used && digest.is_some() && self.digest == digest && self.settings == settings
    }

    /// Has the same been told already?
    pub(crate) fn is_known(&self, before: &[Refused]) -> bool {
        let same = |r: &Refused| {
            r.name == self.name
                && r.digest == self.digest
                && r.used == self.used
                && r.problems == self.problems
        };
        before.iter().any(same)
    }
}

/// Plugins that routes use.
pub(crate) fn used(config: &Config) -> BTreeSet<&PluginName> {
    config.routes.values().flat_map(|route| &route.filters).map(|filter| &filter.plugin).collect()
}

/// A plugin of the configuration, or what holds for one that only lies in the folder.
pub(crate) fn plugin_of(config: &Config, name: &PluginName, path: PathBuf) -> Plugin {
    match config.plugins.get(name) {
        Some(plugin) => plugin.clone(),
        None => undeclared(config, name, path),
    }
}

/// Reads and loads every plugin. Filters are taken over from `before` where nothing about them has changed, and so are
/// refusals of plugins that no route uses. A pinned version is taken instead of the file as long as the file is the same.
pub(crate) fn gather(
    runtime: &Runtime,
    watchman: &Watchman,
    config: &Config,
    before: &PreparedPlugins,
    refused_before: &[Refused],
    pins: &Pins,
) -> Stock {
    let all_used = used(config);
    let mut stock = Stock::default();
    for (name, wish) in Wanted::of(config, &PreparedPlugins::new(), &[]).list().plugins {
        let plugin = plugin_of(config, &name, wish.path);
        let mut component = Component::read(&plugin.path, wish.limit);
        if let Some(pin) = pins.get(&name) {
            match &component {
                Ok(file) if file.digest == pin.instead_of => component = Ok(pin.component.clone()),
                _ => stock.unpinned.push(name.clone()),
            }
        }
        let digest = component.as_ref().ok().map(|c| c.digest);
        let (used, settings) = (all_used.contains(&name), wanted(config, &plugin));
        let known = refused_before.iter().find(|r| r.name == name);
        if let Some(known) = known.filter(|r| !used && r.still_holds(digest, &settings)) {
            stock.refused.push(known.clone());
            continue;
        }
        let before = before.get(&name).map(Arc::as_ref);
        match load(runtime, watchman, config, &plugin, component, before) {
            Ok(prepared) => drop(stock.plugins.insert(name, Arc::new(prepared))),
            Err(problems) => {
                let path = plugin.path;
                stock.refused.push(Refused { name, path, digest, problems, used, settings });
            }
        }
    }
    stock
}

/// Loads one plugin from what was found in its file.
pub(crate) fn load(
    runtime: &Runtime,
    watchman: &Watchman,
    config: &Config,
    plugin: &Plugin,
    component: Result<Component, FileError>,
    before: Option<&Prepared>,
) -> Result<Prepared, Vec<Problem>> {
    let component = component.map_err(|error| {
        let path = plugin.path.display().to_string();
        let cause = Cause::File { path, error };
        vec![Problem { plugin: plugin.name.clone(), place: None, cause }]
    })?;
    Prepared::new(runtime, watchman, plugin, &component, wanted(config, plugin), before)
}
