//! What is loaded with the knowledge of earlier times is what is loaded without it.

use std::sync::Arc;

use edgewit_model::{Config, RouteName};

use super::*;
use crate::Entry;

/// Beside what [`super::examples`] has: references, tables of tables, a chain that is used twice, routes that get into each
/// other's way when a line is changed.
const MORE: &str = r#"
[upstreams.env]
servers = ["${env:ORDERS}"]
[chains.second]
filters = ["geo"]
[routes.plain]
match = "/plain/{*rest}"
upstream = "env"
[routes.plainer]
match = "/plainer/{*rest}"
upstream = "env"
filters = ["geo", { plugin = "hello", config = { a = 1, b = [1.5, true, "x"] } }]
[routes.tables]
match = "/tables"
chain = "second"
upstream = "env"
[routes.tables.retry]
attempts = 2
[routes.tables.headers.request.set]
x-a = "${env:ORDERS}"
[routes.several]
match = ["/several", "POST /plain/{*rest}"]
respond = { status = 204 }
[routes]
inline = { match = "/inline", respond = { status = 200 } }
"#;

fn text() -> String {
    format!("{FULL}{MORE}")
}

const FULL: &str = include_str!("full.toml");

/// Loads a text both ways and compares everything that there is to know of it.
fn compare(base: &Path, text: &str, memo: &mut Memo) -> Option<Loaded> {
    match (check_in(base, text), check_again(base, text, Some(memo))) {
        (Ok(fresh), Ok(again)) => {
            assert_eq!(fresh.config, again.config, "{text}");
            let warnings = |loaded: &Loaded| loaded.origin.warnings.to_string();
            assert_eq!(warnings(&fresh), warnings(&again), "{text}");
            assert_eq!(fresh.origin.files.paths, again.origin.files.paths, "{text}");
            assert_eq!(places(&fresh), places(&again), "{text}");
            Some(again)
        }
        (Err(fresh), Err(again)) => {
            assert_eq!(fresh.to_string(), again.to_string(), "{text}");
            None
        }
        (fresh, again) => panic!("{text}\n{:?}\n{:?}", fresh.err(), again.err()),
    }
}

type Order = (usize, usize, usize);

fn places(loaded: &Loaded) -> Vec<(String, Vec<Order>)> {
    let places = &loaded.origin.places;
    let of_route = |(name, route): (&RouteName, &Arc<edgewit_model::Route>)| {
        let filters = (0..=route.filters.len()).map(|n| Entry::Filter(name, n));
        let entries = [Entry::Route(name)].into_iter().chain(filters);
        let entries = entries.filter_map(|entry| places.get(entry));
        let all = entries.chain(&places.routes[name].matchers);
        (name.to_string(), all.map(crate::Place::order).collect())
    };
    let uses = places.uses.iter().map(|(name, place)| (name.to_string(), vec![place.order()]));
    loaded.config.routes.iter().map(of_route).chain(uses).collect()
}

/// How many routes two configurations share.
fn shared(a: &Config, b: &Config) -> usize {
    let same = |name: &&RouteName| {
        b.routes.get(*name).is_some_and(|route| Arc::ptr_eq(route, &a.routes[*name]))
    };
    a.routes.keys().filter(same).count()
}

#[test]
fn only_routes_that_are_written_anew_are_made_anew() {
    let base = plugins(&["hello", "geo"]);
    let (mut memo, text) = (Memo::default(), text());
    let mut load = |text: &str| compare(base.path(), text, &mut memo).unwrap().config;
    let count = load(&text).routes.len();
    let without = |line: &str, by: &str| {
        assert!(text.contains(line), "{line}");
        text.replace(line, by)
    };
    let cases = [
        ("version = 1", "# moved\nversion = 1", 0),
        ("match = \"/plainer/{*rest}\"", "match = \"/other\"", 1),
        ("attempts = 2", "attempts = 4", 1),
        ("match = \"/old\"", "match = \"/old\" # said", 1),
        // The folder of plugins, the chains: nothing that was made before counts.
        ("[chains.second]\nfilters = [\"geo\"]", "[chains.second]\nfilters = [\"hello\"]", count),
    ];
    for (line, by, changed) in cases {
        let before = load(&text);
        assert_eq!(shared(&before, &load(&without(line, by))), count - changed, "{line}");
    }
}

#[test]
fn a_conflict_is_seen_whatever_was_known_before() {
    let (mut memo, base) = (Memo::default(), Path::new("/nonexistent"));
    let route = |name: &str, path: &str| {
        format!("[routes.{name}]\nmatch = '{path}'\nrespond = {{ status = 204 }}\n")
    };
    let good = [route("a", "/a"), route("b", "/b")].concat();
    let bad = [route("a", "/a"), route("b", "/a")].concat();
    let other = [route("a", "/a"), route("c", "/c")].concat();
    for (text, is_good) in [
        (&good, true),
        (&bad, false),
        (&bad, false),
        (&other, true),
        (&bad, false),
        (&good, true),
        (&good, true),
        (&other, true),
        (&good, true),
        (&bad, false),
    ] {
        assert_eq!(compare(base, text, &mut memo).is_some(), is_good, "{text}");
    }
}

/// Numbers that are different each time, and the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    /// A small change somewhere, which may be a mistake.
    fn change(&mut self, text: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (at, other) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(other, lines[at].clone()),
            2 => lines.swap(at, other),
            3 => lines.insert(at, "# a remark".to_owned()),
            4 => {
                let words = ["geo", "orders", "/a", "7", "\"5s\"", "public", "{rest}", "second"];
                let spaces: Vec<_> = lines[at].match_indices('"').map(|(n, _)| n).collect();
                let Some(place) = spaces.get(self.below(spaces.len())).copied() else {
                    return text.to_owned();
                };
                lines[at].insert_str(place + 1, words[self.below(words.len())]);
            }
            _ => {
                let digits = lines[at].char_indices().filter(|(_, c)| c.is_ascii_digit());
                let digits: Vec<_> = digits.map(|(n, _)| n).collect();
                let Some(place) = digits.get(self.below(digits.len())).copied() else {
                    return text.to_owned();
                };
                lines[at].replace_range(place..=place, &self.below(10).to_string());
            }
        }
        lines.join("\n") + "\n"
    }
}

#[test]
fn after_any_changes_the_same_is_loaded_as_without_knowledge() {
    let base = plugins(&["hello", "geo"]);
    let (mut memo, mut numbers, mut good) = (Memo::default(), Numbers(0x5eed), text());
    let mut before = compare(base.path(), &good, &mut memo).unwrap();
    let (mut loaded, mut taken_over) = (0, 0);
    for round in 0..800 {
        if round % 50 == 0 {
            good = text();
        }
        let mut changed = good.clone();
        for _ in 0..=numbers.below(3) {
            changed = numbers.change(&changed);
        }
        if let Some(again) = compare(base.path(), &changed, &mut memo) {
            loaded += 1;
            taken_over += shared(&before.config, &again.config);
            (good, before) = (changed, again);
        }
    }
    assert!(loaded > 150, "{loaded}");
    assert!(taken_over > 5 * loaded, "{taken_over} of {loaded}");
}
