use std::path::Path;

use edgewit_chain::{Allowance, Instance, Needs, Phase, Phases, Prints, Stop, StopReason};
use edgewit_model::NormalizedPath;
use edgewit_proxy::{Ask, Why};
use http::{HeaderMap, Method};

use super::*;

struct Fake {
    name: PluginName,
    needs: Needs,
}

impl Filter for Fake {
    fn plugin(&self) -> &PluginName {
        &self.name
    }

    fn version(&self) -> &str {
        "1"
    }

    fn phases(&self) -> Phases {
        Phases::NONE.with(Phase::Request)
    }

    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn allowance(&self) -> Allowance {
        Allowance { fuel: 1, host_calls: 1, log_lines: 1, prints: Prints::default() }
    }

    fn start(&self) -> Result<Box<dyn Instance>, Stop> {
        Err(Stop::new(StopReason::Exhausted, "a fake"))
    }

    fn yields(&self) -> bool {
        false
    }
}

/// Loaded plugins by name.
type Fakes = BTreeMap<String, Arc<dyn Filter>>;

fn fakes(names: &[&str]) -> Fakes {
    let fake = |name: &&str| -> (String, Arc<dyn Filter>) {
        let fake = Fake { name: PluginName::new(name).unwrap(), needs: Needs::default() };
        ((*name).to_owned(), Arc::new(fake))
    };
    names.iter().map(fake).collect()
}

const BASE: &str = r#"
    [plugins.one]
    source.file = "one.wasm"
    [plugins.two]
    source.file = "two.wasm"
    [upstreams.a]
    servers = ["http://127.0.0.1:1"]
    [upstreams.b]
    servers = ["http://127.0.0.1:2"]
    [routes.plain]
    match = "/plain"
    respond = { status = 204 }
    [routes.filtered]
    match = "/filtered"
    filters = ["one"]
    respond = { status = 204 }
    [routes.forwarded]
    match = "/forwarded"
    filters = ["two"]
    upstream = "a"
"#;

fn world(text: &str, fakes: &Fakes, before: Option<&World>) -> World {
    let config = edgewit_config::load_text("edgewit.toml", text, Path::new(".")).unwrap().config;
    let find = |plugin: &Plugin, _: &FilterUse, _: &RouteName| {
        fakes.get(plugin.name.as_str()).cloned().map(|f| Fitting::Filter(f, None))
    };
    let generation = before.map_or(1, |world| world.snapshot.generation() + 1);
    assemble(generation, config, &find, &Metrics::new(1), before).unwrap()
}

/// Names of the routes, and of the chains, that the second world has made anew.
fn renewed(before: &World, after: &World) -> (Vec<String>, Vec<String>) {
    let (mut routes, mut chains) = (Vec::new(), Vec::new());
    for live in after.snapshot.routes() {
        let name = &live.route().name;
        let known = before.snapshot.routes().iter().find(|known| known.route().name == *name);
        if !known.is_some_and(|known| Arc::ptr_eq(known, live)) {
            routes.push(name.to_string());
        }
        if !known.is_some_and(|known| Arc::ptr_eq(known.chain(), live.chain())) {
            chains.push(name.to_string());
        }
    }
    (routes, chains)
}

/// Each route is found by its own path, and answers what it says now.
fn assert_found(world: &World) {
    for live in world.snapshot.routes() {
        let path = NormalizedPath::new(&live.route().matchers[0].path).unwrap();
        let (method, fields) = (Method::GET, HeaderMap::new());
        let ask = Ask {
            listener: None,
            method: &method,
            host: "a.test",
            path: &path,
            query: None,
            fields: &fields,
            client: None,
        };
        let candidates = world.snapshot.explain(&ask);
        let winner = candidates.iter().find(|candidate| candidate.why == Why::Wins);
        assert_eq!(winner.map(|candidate| &candidate.route), Some(&live.route().name), "{path}");
        assert_eq!(world.config.routes.get(&live.route().name), Some(live.route()));
    }
}

#[test]
fn only_what_changed_is_made_anew() {
    let fakes = fakes(&["one", "two"]);
    let before = world(BASE, &fakes, None);
    let cases: [(&str, &str, &[&str], &[&str]); 8] = [
        ("", "", &[], &[]),
        ("[routes.plain]", "[routes.z]", &["z"], &["z"]),
        (
            "respond = { status = 204 }\n    [routes.filtered]",
            "respond = { status = 200 }\n    [routes.filtered]",
            &["plain"],
            &[],
        ),
        ("\"/plain\"", "\"/plane\"", &["plain"], &[]),
        ("127.0.0.1:1", "127.0.0.1:3", &["forwarded"], &[]),
        ("127.0.0.1:2", "127.0.0.1:3", &[], &[]),
        ("upstream = \"a\"", "upstream = \"b\"", &["forwarded"], &[]),
        (
            "source.file = \"one.wasm\"",
            "source.file = \"one.wasm\"\non-error = \"skip\"",
            &["filtered"],
            &["filtered"],
        ),
    ];
    for (from, to, routes, chains) in cases {
        let after = world(&BASE.replace(from, to), &fakes, Some(&before));
        let expected = (
            routes.iter().map(ToString::to_string).collect(),
            chains.iter().map(ToString::to_string).collect(),
        );
        assert_eq!(renewed(&before, &after), expected, "{from} -> {to}");
        assert_eq!(after.snapshot.generation(), 2);
        assert_found(&after);
    }
}

#[test]
fn another_version_of_a_plugin_touches_only_its_routes() {
    let mut all = fakes(&["one", "two"]);
    let before = world(BASE, &all, None);
    all.extend(fakes(&["two"]));
    let after = world(BASE, &all, Some(&before));
    let forwarded = || vec!["forwarded".to_owned()];
    assert_eq!(renewed(&before, &after), (forwarded(), forwarded()));
}

#[test]
fn a_filter_that_is_not_there_is_an_error() {
    let config = edgewit_config::load_text("edgewit.toml", BASE, Path::new(".")).unwrap().config;
    let result = assemble(1, config, &|_, _, _| None, &Metrics::new(1), None);
    assert!(matches!(result, Err(AssembleError::Filter(_))));
}
