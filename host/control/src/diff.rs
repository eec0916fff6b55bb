//! What is different in another configuration?

use std::{collections::BTreeMap, sync::Arc};

use edgewit_model::{Config, Route};

/// Names of everything that differs: `+routes.new`, `-routes.gone`, `~routes.other`, `~server`.
pub(crate) fn diff(before: &Config, after: &Config) -> Vec<String> {
    let mut out = Vec::new();
    let mut single = |name: &str, same: bool| {
        if !same {
            out.push(format!("~{name}"));
        }
    };
    single("server", before.server == after.server);
    single("admin", before.admin == after.admin);
    single("telemetry", before.telemetry == after.telemetry);
    let limits = |c: &Config| (c.plugin_limits.clone(), c.request_limits.clone());
    single("limits", limits(before) == limits(after));
    table(&mut out, "listeners", &before.listeners, &after.listeners);
    table(&mut out, "plugins", &before.plugins, &after.plugins);
    table(&mut out, "upstreams", &before.upstreams, &after.upstreams);
    let differ = |a: &Arc<Route>, b: &Arc<Route>| !Arc::ptr_eq(a, b) && a != b;
    table_by(&mut out, "routes", (&before.routes, &after.routes), differ);
    out
}

fn table<K: Ord + std::fmt::Display, V: PartialEq>(
    out: &mut Vec<String>,
    table: &str,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) {
    table_by(out, table, (before, after), |a, b| a != b);
}

fn table_by<K: Ord + std::fmt::Display, V>(
    out: &mut Vec<String>,
    table: &str,
    (before, after): (&BTreeMap<K, V>, &BTreeMap<K, V>),
    differ: impl Fn(&V, &V) -> bool,
) {
    // Both are in the order of their names.
    let mut known = before.iter().peekable();
    let mut gone = Vec::new();
    for (name, entry) in after {
        while let Some((earlier, _)) = known.next_if(|(known, _)| *known < name) {
            gone.push(format!("-{table}.{earlier}"));
        }
        match known.next_if(|(known, _)| *known == name) {
            None => out.push(format!("+{table}.{name}")),
            Some((_, known)) if differ(known, entry) => out.push(format!("~{table}.{name}")),
            Some(_) => {}
        }
    }
    out.append(&mut gone);
    out.extend(known.map(|(name, _)| format!("-{table}.{name}")));
}

/// What changed, but only counts after a restart.
pub(crate) fn needs_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let keys = [
        ("server.workers", before.server.workers == after.server.workers),
        ("server.instances", before.server.instances == after.server.instances),
        ("server.state-dir", before.server.state_dir == after.server.state_dir),
        ("admin.listen", before.admin == after.admin),
        ("telemetry.log.format", before.telemetry.log_format == after.telemetry.log_format),
    ];
    keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        edgewit_config::load_text("edgewit.toml", text, Path::new(".")).unwrap().config
    }

    #[test]
    fn differences_are_named() {
        let before = config(
            "[routes.a]\nmatch = '/a'\nrespond = { status = 204 }\n\
             [routes.b]\nmatch = '/b'\nrespond = { status = 204 }",
        );
        let after = config(
            "server.workers = 3\n[routes.a]\nmatch = '/a'\nrespond = { status = 200 }\n\
             [routes.c]\nmatch = '/c'\nrespond = { status = 204 }",
        );
        assert_eq!(diff(&before, &before), Vec::<String>::new());
        assert_eq!(diff(&before, &after), ["~server", "~routes.a", "+routes.c", "-routes.b"]);
        assert_eq!(needs_restart(&before, &after), ["server.workers"]);
    }
}
