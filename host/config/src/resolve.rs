//! From the raw types to the checked model. Pure: nothing here reads files. It reports everything it finds; what it
//! returns is whole only if nothing was reported.

mod context;

mod server;

mod listener;

mod tls;

mod plugin;

mod upstream;

mod health;

mod route;

mod matcher;

mod action;

mod upgrades;

mod condition;

mod template;

mod rewrite;

mod location;

mod edits;

mod cors;

mod policy;

mod telemetry;

use std::{collections::BTreeMap, path::Path};

use edgewit_model::{
    Config, FilterUse, ListenerName, NameError, PluginName, RouteName, UpstreamName,
};
use serde::de::DeserializeOwned;

use crate::{
    Diagnostic, Memo, Place, Report, code,
    pem::Pem,
    places::Places,
    tree::{Document, Item, Section},
    typed,
};
use context::Cx;
pub(crate) use server::plugin_dir;

/// The model with what later stages need to know about it.
pub(crate) struct Resolved {
    pub(crate) config: Config,
    pub(crate) places: Places,
    /// Files with certificates and keys.
    pub(crate) pems: Vec<Pem>,
}

/// Filters with their places.
type Filters = Vec<(FilterUse, Place)>;
/// Filters of all chains.
type Chains = BTreeMap<String, Filters>;

/// Checks the whole document. Relative paths start at `base`.
pub(crate) fn resolve(
    document: &Document<'_>,
    base: &Path,
    memo: Option<&mut Memo>,
    report: &mut Report,
) -> Resolved {
    let mut places = Places::default();
    let mut pems = Vec::new();
    let mut r = Resolver { base, report };
    r.value(document.singles.get("version"), server::version);
    r.value(document.singles.get("include"), |_: Vec<String>, _| ());
    let server = r.single(document, "server", server::server);
    let (plugin_limits, request_limits) = r.single(document, "limits", plugin::limits);
    let mut plugins = r.section(&document.plugins, |name, raw, cx| {
        plugin::plugin(name, raw, &server.plugin_dir, &plugin_limits, &mut places, cx)
    });
    let upstreams = r.section(&document.upstreams, |name, raw, cx| {
        upstream::upstream(name, raw, &mut places, &mut pems, cx)
    });
    let chains: Chains = r.section(&document.chains, |_, raw, cx| Some(plugin::chain(raw, cx)));
    for (filter, place) in chains.values().flatten() {
        places.used(filter, place);
    }
    let routes = route::routes(&mut r, &document.routes, &chains, &mut places, memo);
    for name in places.uses.keys() {
        let plugin = || plugin::undeclared(name, &server.plugin_dir, &plugin_limits);
        plugins.entry(name.clone()).or_insert_with(plugin);
    }
    let admin = r.single(document, "admin", server::admin);
    let mut listeners = r.section(&document.listeners, |name, raw, cx| {
        listener::listener(name, raw, &mut places, &mut pems, cx)
    });
    if document.listeners.is_empty() {
        listeners.extend(listener::default());
    }
    listener::addresses(&listeners, admin.as_ref(), &places, r.report);
    let telemetry = r.single(document, "telemetry", telemetry::telemetry);
    let config = Config {
        server,
        admin,
        listeners,
        plugin_limits,
        request_limits,
        plugins,
        upstreams,
        routes,
        telemetry,
    };
    Resolved { config, places, pems }
}

const PLACEHOLDER: &str = "invalid";

/// A name that can be read.
trait Name: Ord + Clone {
    fn read(text: &str) -> Result<Self, NameError>;
}

macro_rules! names {
    ($($name:ident)*) => {$(
        impl Name for $name {
            fn read(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    )*};
}

names! { ListenerName PluginName RouteName UpstreamName }

/// Chains have no name of their own in the model, but follow the same rules.
impl Name for String {
    fn read(text: &str) -> Result<Self, NameError> {
        PluginName::new(text).map(|name| name.to_string())
    }
}

struct Resolver<'a> {
    base: &'a Path,
    report: &'a mut Report,
}

impl Resolver<'_> {
    /// A single value, if it is there.
    fn value<T: DeserializeOwned>(
        &mut self,
        item: Option<&Item<'_>>,
        check: impl FnOnce(T, &mut Cx<'_, '_>),
    ) {
        let Some(item) = item else { return };
        if let Some(raw) = typed::read::<Option<T>>(item, self.report) {
            check(raw, &mut Cx { item, base: self.base, report: self.report });
        }
    }

    /// A table that there is once; an empty one stands for one that is left out.
    fn single<T: DeserializeOwned + Default, R>(
        &mut self,
        document: &Document<'_>,
        name: &str,
        check: impl FnOnce(T, &mut Cx<'_, '_>) -> R,
    ) -> R {
        self.entry(document.singles.get(name).unwrap_or(&document.empty), check)
    }

    /// Entries by name.
    fn section<N: Name, T: DeserializeOwned + Default, R>(
        &mut self,
        section: &Section<'_>,
        mut check: impl FnMut(N, T, &mut Cx<'_, '_>) -> Option<R>,
    ) -> BTreeMap<N, R> {
        let entries = section.iter().filter_map(|(key, item)| {
            let name: N = self.name(key, item)?;
            Some((name.clone(), self.entry(item, |raw, cx| check(name, raw, cx))?))
        });
        entries.collect()
    }

    fn entry<T: DeserializeOwned + Default, R>(
        &mut self,
        item: &Item<'_>,
        check: impl FnOnce(T, &mut Cx<'_, '_>) -> R,
    ) -> R {
        let raw = typed::read::<T>(item, self.report);
        check(raw, &mut Cx { item, base: self.base, report: self.report })
    }

    fn name<N: Name>(&mut self, key: &str, item: &Item<'_>) -> Option<N> {
        let name = N::read(key).or_else(|error| {
            let message = format!("`{key}` cannot be a name");
            let diagnostic = Diagnostic::new(code::INVALID_NAME, message);
            self.report.push(diagnostic.at(item.at(item.key.clone()), "").help(error.to_string()));
            N::read(PLACEHOLDER) // the entry is checked all the same
        });
        name.ok()
    }
}
