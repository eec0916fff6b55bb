//! From the files of plugins to filters, one for each configuration that routes give them. Blocks while it compiles.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_chain::{Breaker, Filter, Phase};
use edgewit_model::{Config, FilterUse, Namespace, OnError, Plugin, PluginName, RouteName};
use edgewit_wasm::{LoadError, Runtime, WasmFilter};

use crate::{
    Digest,
    assemble::Fitting,
    file::Component,
    problem::{Cause, Problem},
    trial::golden,
    watchman::Watchman,
};

/// A plugin with all the filters that were made of it.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) digest: Digest,
    /// What it was made of.
    pub(crate) component: Component,
    /// Knows how often this version was stopped, whatever the configuration and the route.
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) path: PathBuf,
    pub(crate) filters: Vec<Variant>,
    /// From the file's content to the last filter.
    pub(crate) took: Duration,
}

/// One version of a plugin under one configuration.
#[derive(Clone)]
pub(crate) struct Variant {
    /// Everything that decides about the filter, beside the file.
    settings: Plugin,
    /// The only route that has it, if the plugin's state is separate for each.
    route: Option<RouteName>,
    pub(crate) filter: Arc<WasmFilter>,
}

/// The plugins of one configuration.
pub(crate) type PreparedPlugins = BTreeMap<PluginName, Arc<Prepared>>;

/// Settings that a plugin is wanted with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanting {
    pub(crate) settings: Plugin,
    /// For this route alone.
    route: Option<RouteName>,
    /// The first place that wants it so; `None`: no route does.
    pub(crate) place: Option<(RouteName, usize)>,
    /// Is it the plugin's own configuration, without changes by a route?
    own: bool,
}

/// What a plugin is at its place in a chain: keys of the place replace those of the plugin.
pub(crate) fn settings(plugin: &Plugin, filter: Option<&FilterUse>) -> Plugin {
    let mut config = plugin.config.clone();
    config.extend(filter.and_then(|f| f.config.clone()).unwrap_or_default());
    // Neither the path nor what happens on errors changes the filter itself.
    Plugin {
        config,
        path: PathBuf::new(),
        on_error: OnError::default(),
        quarantine: None,
        fallback: true,
        ..plugin.clone()
    }
}

/// The route that has a filter of its own.
fn own_route(plugin: &Plugin, route: &RouteName) -> Option<RouteName> {
    match plugin.namespace {
        Namespace::Plugin => None,
        Namespace::Route => Some(route.clone()),
    }
}

/// All different settings that routes want a plugin with, or its own ones if no route uses it.
pub(crate) fn wanted(config: &Config, plugin: &Plugin) -> Vec<Wanting> {
    let mut found: Vec<Wanting> = Vec::new();
    for route in config.routes.values() {
        for (n, filter) in route.filters.iter().enumerate().filter(|(_, f)| f.plugin == plugin.name)
        {
            let settings = settings(plugin, Some(filter));
            let own_route = own_route(plugin, &route.name);
            if !found.iter().any(|known| known.settings == settings && known.route == own_route) {
                let (place, own) = (Some((route.name.clone(), n)), filter.config.is_none());
                found.push(Wanting { settings, route: own_route, place, own });
            }
        }
    }
    if found.is_empty() {
        let settings = settings(plugin, None);
        found.push(Wanting { settings, route: None, place: None, own: true });
    }
    found
}

/// What stands at a place in a chain.
pub(crate) fn find(
    plugins: &PreparedPlugins,
    disabled: &BTreeSet<PluginName>,
    plugin: &Plugin,
    place: &FilterUse,
    route: &RouteName,
) -> Option<Fitting> {
    let route = own_route(plugin, route);
    let filter = plugins.get(&plugin.name)?.find(&settings(plugin, Some(place)), route.as_ref())?;
    if disabled.contains(&plugin.name) {
        return Some(Fitting::Disabled);
    }
    let breaker = Arc::clone(&plugins.get(&plugin.name)?.breaker);
    Some(Fitting::Filter(Arc::clone(filter) as Arc<dyn Filter>, Some(breaker)))
}

impl Prepared {
    /// Makes all filters that are wanted of a component; takes over those that were made before of the same content.
    pub(crate) fn new(
        runtime: &Runtime,
        watchman: &Watchman,
        plugin: &Plugin,
        component: &Component,
        wanted: Vec<Wanting>,
        before: Option<&Prepared>,
    ) -> Result<Self, Vec<Problem>> {
        let begun = Instant::now();
        let serving = before;
        let before = before.filter(|before| before.digest == component.digest);
        let mut filters: Vec<Variant> = Vec::new();
        let mut problems = Vec::new();
        for Wanting { settings, route, place, own } in wanted {
            let known = before.and_then(|before| before.find(&settings, route.as_ref()));
            let loaded = match known {
                Some(filter) => Ok(Arc::clone(filter)),
                None => {
                    // Native code is loaded once, however many routes have a filter of their own.
                    let like = |v: &&Variant| v.settings == settings;
                    let alike = filters.iter().find(like).map(|v| Arc::clone(&v.filter));
                    let loaded = alike.map_or_else(
                        || runtime.load(&component.bytes, &settings, &settings.config),
                        Ok,
                    );
                    loaded.map(|filter| match &route {
                        Some(route) => runtime.within(&filter, route),
                        None => filter,
                    })
                }
            };
            match loaded {
                Ok(filter) => filters.push(Variant { settings, route, filter }),
                Err(error) => problems.push(Problem {
                    plugin: plugin.name.clone(),
                    place: place.filter(|_| !own),
                    cause: cause(error, serving),
                }),
            }
        }
        let authenticates = filters.iter().any(|v| v.filter.phases().has(Phase::Auth));
        if authenticates && plugin.on_error == OnError::Skip {
            let name = plugin.name.clone();
            problems.push(Problem { plugin: name, place: None, cause: Cause::FailOpen });
        }
        // A version that served has passed already.
        if problems.is_empty() && before.is_none() {
            let played = golden::play(runtime, &component.bytes, plugin);
            problems.extend(played.err().map(|detail| Problem {
                plugin: plugin.name.clone(),
                place: None,
                cause: Cause::Golden { detail },
            }));
        }
        // What is wrong with the component itself is found once for each configuration.
        problems.dedup_by(|a, b| a.cause == b.cause);
        if !problems.is_empty() {
            return Err(problems);
        }
        let path = plugin.path.clone();
        let (digest, took) = (component.digest, begun.elapsed());
        // One copy of the bytes, however often the same file is read.
        let component = before.map_or(component, |before| &before.component).clone();
        let known = before.map(|before| &before.breaker);
        let breaker = match known.filter(|known| known.rule() == plugin.quarantine) {
            Some(known) => Arc::clone(known),
            None => watchman.breaker(&plugin.name, component.digest, plugin.quarantine),
        };
        Ok(Self { digest, component, breaker, path, filters, took })
    }

    /// What the component says of its version.
    pub(crate) fn version(&self) -> &str {
        self.filters.first().map_or("", |v| v.filter.version())
    }

    /// What decides about it, beside the file and the configuration of a place.
    pub(crate) fn settings(&self) -> Option<&Plugin> {
        self.filters.first().map(|variant| &variant.settings)
    }

    /// Does it authenticate requests?
    pub(crate) fn authenticates(&self) -> bool {
        self.filters.iter().any(|v| v.filter.phases().has(Phase::Auth))
    }

    /// The same content with the same filters?
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let same = |(a, b): (&Variant, &Variant)| Arc::ptr_eq(&a.filter, &b.filter);
        self.digest == other.digest
            && self.filters.len() == other.filters.len()
            && self.filters.iter().zip(&other.filters).all(same)
    }

    /// The filter with these settings, and for this route if it is to be of one alone.
    fn find(&self, settings: &Plugin, route: Option<&RouteName>) -> Option<&Arc<WasmFilter>> {
        let fits = |v: &&Variant| v.settings == *settings && v.route.as_ref() == route;
        self.filters.iter().find(fits).map(|v| &v.filter)
    }
}

/// An update that wants too much is compared with what serves.
fn cause(error: LoadError, serving: Option<&Prepared>) -> Cause {
    let known = serving.and_then(|serving| serving.filters.first());
    match (&error, known) {
        (LoadError::NotGranted { .. }, Some(known)) => {
            let before = known.filter.info().inspection.capabilities.clone();
            Cause::WantsMore { error, before }
        }
        _ => Cause::Load(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        std::fs::write(folder.path().join("plugins/b.wasm"), "").unwrap();
        edgewit_config::load_text("edgewit.toml", text, folder.path()).unwrap().config
    }

    #[test]
    fn a_place_in_a_chain_replaces_single_keys() {
        let config = config(
            r#"
            [plugins.a]
            source.file = "a.wasm"
            on-error = "skip"
            config = { one = 1, two = 2 }
            [routes.x]
            match = "/x"
            filters = ["a", { plugin = "a", config = { two = 3 } }, "b"]
            respond = { status = 204 }
            [routes.y]
            match = "/y"
            filters = ["a", { plugin = "a", config = { two = 3 } }]
            respond = { status = 204 }
            "#,
        );
        let wanted: Vec<_> = wanted(&config, &config.plugins["a"])
            .into_iter()
            .map(|w| (serde_json::Value::Object(w.settings.config).to_string(), w.place.unwrap().1))
            .collect();
        let expected =
            [(r#"{"one":1,"two":2}"#.to_owned(), 0), (r#"{"one":1,"two":3}"#.to_owned(), 1)];
        assert_eq!(wanted, expected);
    }

    #[test]
    fn a_plugin_whose_state_is_separate_for_each_route_is_wanted_for_each() {
        let text = |keys: &str| {
            format!(
                "[plugins.a]\nsource.file = \"a.wasm\"\n{keys}\n\
                 [routes.x]\nmatch = \"/x\"\nfilters = [\"a\", \"a\"]\nrespond = {{}}\n\
                 [routes.y]\nmatch = \"/y\"\nfilters = [\"a\"]\nrespond = {{}}\n"
            )
        };
        for (keys, expected) in [("", 1), ("namespace = \"route\"", 2)] {
            let config = config(&text(keys));
            assert_eq!(wanted(&config, &config.plugins["a"]).len(), expected, "{keys}");
        }
    }

    #[test]
    fn a_plugin_that_no_route_uses_is_wanted_once() {
        let config = config("[plugins.a]\nsource.file = \"a.wasm\"\nconfig = { one = 1 }");
        let wanted = wanted(&config, &config.plugins["a"]);
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].place, None);
    }
}
