//! `[plugins.<name>]`, `[chains.<name>]` and `[limits]`.

use std::path::Path;

use edgewit_model::{
    FilterUse, Grants, Isolation, Namespace, OnError, Plugin, PluginLimits, PluginName, Quarantine,
    RequestLimits,
};

use super::{Cx, Filters};
use crate::{
    code,
    places::Places,
    raw::{self, At, TextOr},
    suggest::did_you_mean,
};

/// Filters of a chain, and of a route beyond its chain: each costs time in every request.
const MOST_FILTERS: usize = 64;
/// Requests after which an instance is replaced (CONTRACT 4).
const RECYCLE: u32 = 1_024;

pub(super) fn plugin(
    name: PluginName,
    raw: raw::Plugin,
    folder: &Path,
    limits: &PluginLimits,
    places: &mut Places,
    cx: &mut Cx<'_, '_>,
) -> Option<Plugin> {
    places.plugins.insert(name.clone(), cx.item.place());
    if let Some(config) = &raw.config {
        places.plugin_configs.insert(name.clone(), config_place(config, cx));
    }
    let file = raw.source.and_then(|source| source.file).map(|file| cx.path(&file));
    Some(Plugin {
        path: file.unwrap_or_else(|| component(folder, &name)),
        on_error: on_error(raw.on_error),
        isolation: isolation(raw.isolation.as_ref(), cx),
        namespace: namespace(raw.namespace),
        allow: grants(&raw.allow),
        limits: plugin_limits(&raw.limits, limits, cx),
        config: raw.config.map(|config| config.value.0).unwrap_or_default(),
        quarantine: quarantine(raw.quarantine.as_ref(), cx),
        fallback: raw.fallback.unwrap_or(true),
        name,
    })
}

/// A plugin that is used without being declared.
pub(super) fn undeclared(name: &PluginName, folder: &Path, limits: &PluginLimits) -> Plugin {
    Plugin {
        name: name.clone(),
        path: component(folder, name),
        on_error: OnError::default(),
        isolation: None,
        namespace: Namespace::default(),
        allow: Grants::default(),
        limits: limits.clone(),
        config: serde_json::Map::new(),
        quarantine: Some(Quarantine::default()),
        fallback: true,
    }
}

fn component(folder: &Path, name: &PluginName) -> std::path::PathBuf {
    folder.join(format!("{name}.wasm"))
}

/// The key `config`, since its value may be many lines long.
fn config_place(config: &At<raw::Free>, cx: &Cx<'_, '_>) -> crate::Place {
    let table = cx.item.value.get_ref().as_table();
    let key = table.and_then(|t| t.get_key_value("config")).map(|(key, _)| key.span());
    let header = cx.item.source.text().get(config.span.clone()).is_some_and(|t| t.starts_with('['));
    cx.at(if header { &config.span } else { key.as_ref().unwrap_or(&config.span) })
}

fn on_error(raw: Option<raw::OnError>) -> OnError {
    match raw {
        Some(raw::OnError::Reject) | None => OnError::Reject,
        Some(raw::OnError::Skip) => OnError::Skip,
        Some(raw::OnError::SkipEvenAuth) => OnError::SkipEvenAuth,
    }
}

fn namespace(raw: Option<raw::Namespace>) -> Namespace {
    match raw {
        Some(raw::Namespace::Plugin) | None => Namespace::Plugin,
        Some(raw::Namespace::Route) => Namespace::Route,
    }
}

fn isolation(raw: Option<&At<TextOr<raw::Isolation>>>, cx: &mut Cx<'_, '_>) -> Option<Isolation> {
    let at = raw?;
    match &at.value {
        TextOr::Table(table) => {
            let recycle = cx.count(&table.worker.recycle, 1..=u64::from(u32::MAX), RECYCLE);
            Some(Isolation::Worker { recycle })
        }
        TextOr::Text(text) => match text.as_str() {
            "request" => Some(Isolation::Request),
            "worker" => Some(Isolation::Worker { recycle: RECYCLE }),
            _ => {
                let message = format!("unknown value `{text}`; use `request` or `worker`");
                let label = did_you_mean(text, ["request", "worker"]);
                cx.hint(code::INVALID_VALUE, &at.span, message, label);
                None
            }
        },
    }
}

/// Each stop is kept while it is in the window.
const MOST_STOPS: u64 = 10_000;

fn quarantine(
    raw: Option<&At<TextOr<raw::Quarantine>>>,
    cx: &mut Cx<'_, '_>,
) -> Option<Quarantine> {
    let default = Quarantine::default();
    let Some(at) = raw else { return Some(default) };
    match &at.value {
        TextOr::Table(table) => Some(Quarantine {
            stops: cx.count(&table.stops, 1..=MOST_STOPS, default.stops),
            window: cx.time(&table.window, default.window),
            share_percent: cx.amount(&table.share).unwrap_or(default.share_percent),
            probe: cx.time(&table.probe, default.probe),
        }),
        TextOr::Text(text) if text == "off" => None,
        TextOr::Text(text) => {
            let message = format!("unknown value `{text}`; use `off` or a table");
            cx.error(code::INVALID_VALUE, &at.span, message);
            None
        }
    }
}

fn grants(raw: &raw::Allow) -> Grants {
    let default = Grants::default();
    Grants {
        log: raw.log.unwrap_or(default.log),
        metrics: raw.metrics.unwrap_or(default.metrics),
        clock: raw.clock.unwrap_or(default.clock),
        random: raw.random.unwrap_or(default.random),
        exchange: raw.exchange.unwrap_or(default.exchange),
        kv: raw.kv.unwrap_or(default.kv),
        rate: raw.rate.unwrap_or(default.rate),
    }
}

pub(super) fn limits(raw: raw::Limits, cx: &mut Cx<'_, '_>) -> (PluginLimits, RequestLimits) {
    let (plugin, request_fuel) = raw.into_parts();
    let fuel = cx.count(&request_fuel, 1..=MOST_FUEL, RequestLimits::default().fuel);
    (plugin_limits(&plugin, &PluginLimits::default(), cx), RequestLimits { fuel })
}

/// Hours of work on one core: beyond that a limit is none.
const MOST_FUEL: u64 = 1_000_000_000_000_000;
const MOST: u64 = 10_000_000;

fn plugin_limits(
    raw: &raw::PluginLimits,
    default: &PluginLimits,
    cx: &mut Cx<'_, '_>,
) -> PluginLimits {
    PluginLimits {
        fuel: cx.count(&raw.fuel, 1..=MOST_FUEL, default.fuel),
        time: cx.time(&raw.time, default.time),
        memory: cx.size(&raw.memory, default.memory),
        table_entries: cx.count(&raw.table_entries, 0..=MOST, default.table_entries),
        core_instances: cx.count(&raw.core_instances, 1..=10_000, default.core_instances),
        memories: cx.count(&raw.memories, 0..=10_000, default.memories),
        host_bytes: cx.size(&raw.host_bytes, default.host_bytes),
        host_calls: cx.count(&raw.host_calls, 0..=MOST, default.host_calls),
        instantiate_time: cx.time(&raw.instantiate_time, default.instantiate_time),
        configure_time: cx.time(&raw.configure_time, default.configure_time),
        file_size: cx.size(&raw.file_size, default.file_size),
    }
}

pub(super) fn chain(raw: raw::Chain, cx: &mut Cx<'_, '_>) -> Filters {
    filters(raw.filters.as_ref(), cx)
}

/// Names that are not there are reported by the check of references.
pub(super) fn filters(
    raw: Option<&At<Vec<At<TextOr<raw::Filter>>>>>,
    cx: &mut Cx<'_, '_>,
) -> Filters {
    let Some(list) = raw else { return Vec::new() };
    let mut out = Vec::new();
    for at in cx.bounded(list, MOST_FILTERS, "filters") {
        let (name, span, config) = match &at.value {
            TextOr::Text(name) => (name, &at.span, None),
            TextOr::Table(filter) => {
                let config = filter.config.as_ref().map(|config| config.value.0.clone());
                (&filter.plugin.value, &filter.plugin.span, config)
            }
        };
        if let Ok(plugin) = PluginName::new(name) {
            out.push((FilterUse { plugin, config }, cx.at(span)));
        }
    }
    out
}
