//! References between entries, looked up in the untyped tree, so that a broken entry is checked for them, too.

use std::collections::BTreeSet;

use crate::{
    Diagnostic, Report,
    code::{self, Code},
    suggest::did_you_mean,
    tree::{Document, Item, Node, Section},
};

/// Reports every name that is used, but not there. `files` are the stems of the files in the plugin folder.
pub(crate) fn check(document: &Document<'_>, files: &BTreeSet<String>, report: &mut Report) {
    let plugins = document.plugins.keys().chain(files);
    let plugins = Names::new(code::NO_PLUGIN, "plugin", plugins);
    let upstreams = Names::new(code::NO_UPSTREAM, "upstream", document.upstreams.keys());
    let chains = Names::new(code::NO_CHAIN, "chain", document.chains.keys());
    let default = String::from(DEFAULT_LISTENER);
    let default = document.listeners.is_empty().then_some(&default);
    let listeners = document.listeners.keys().chain(default);
    let listeners = Names::new(code::NO_LISTENER, "listener", listeners);
    for chain in document.chains.values() {
        let filters = chain.get("filters").into_iter().flat_map(list);
        plugins.check(chain, filters.filter_map(|n| named(n, "plugin")), report);
    }
    let mut used = Used::default();
    // Each key once: to look for each of these in thousands of routes would be felt.
    for route in document.routes.values() {
        for (key, node) in route.value.get_ref().as_table().into_iter().flatten() {
            match key.get_ref().as_ref() {
                "filters" => {
                    plugins.check(route, list(node).filter_map(|n| named(n, "plugin")), report);
                }
                "upstream" => {
                    upstreams.check(route, [node], report);
                    used.upstreams.extend(text(node));
                }
                "upstreams" => {
                    let several = || list(node).filter_map(|n| named(n, "name"));
                    upstreams.check(route, several(), report);
                    used.upstreams.extend(several().filter_map(text));
                }
                "mirror" => {
                    let mirror = node.get_ref().as_table().and_then(|table| table.get("upstream"));
                    upstreams.check(route, mirror, report);
                    used.upstreams.extend(mirror.and_then(text));
                }
                "chain" => {
                    chains.check(route, [node], report);
                    used.chains.extend(text(node));
                }
                "listeners" => listeners.check(route, list(node), report),
                _ => {}
            }
        }
    }
    unused(document, &used, report);
}

/// Names that routes use.
#[derive(Default)]
struct Used<'n> {
    chains: BTreeSet<&'n str>,
    upstreams: BTreeSet<&'n str>,
}

/// The listener that is there if none is declared.
pub(crate) const DEFAULT_LISTENER: &str = "http";

/// The names of one kind.
struct Names<'a> {
    code: Code,
    kind: &'static str,
    names: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn new(code: Code, kind: &'static str, names: impl Iterator<Item = &'a String>) -> Self {
        Self { code, kind, names: names.map(String::as_str).collect() }
    }

    fn check<'n, 's: 'n>(
        &self,
        item: &Item<'s>,
        used: impl IntoIterator<Item = &'n Node<'s>>,
        report: &mut Report,
    ) {
        for node in used {
            let Some(name) = node.get_ref().as_str() else { continue };
            if !self.names.contains(name) {
                let known = if report.is_full() { None } else { Some(&self.names) };
                let label = did_you_mean(name, known.into_iter().flatten().copied());
                let message = format!("no {} named `{name}`", self.kind);
                report.push(Diagnostic::new(self.code, message).at(item.at(node.span()), label));
            }
        }
    }
}

fn list<'n, 's>(node: &'n Node<'s>) -> impl Iterator<Item = &'n Node<'s>> {
    node.get_ref().as_array().into_iter().flat_map(|items| items.iter())
}

/// The text itself, or that of this key if it is a table.
fn named<'n, 's>(node: &'n Node<'s>, key: &str) -> Option<&'n Node<'s>> {
    match node.get_ref().as_table() {
        Some(table) => table.get(key),
        None => Some(node),
    }
}

fn unused(document: &Document<'_>, used: &Used<'_>, report: &mut Report) {
    warn(&document.chains, "chain", &used.chains, report);
    warn(&document.upstreams, "upstream", &used.upstreams, report);
    if document.routes.is_empty() && !report.has_errors() {
        let help = "a route is `[routes.<name>]` with `match` and, say, `upstream`";
        report.push(Diagnostic::new(code::NO_ROUTES, "there are no routes").help(help));
    }
}

fn text<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    node.get_ref().as_str()
}

fn warn(section: &Section<'_>, kind: &str, used: &BTreeSet<&str>, report: &mut Report) {
    for (name, item) in section.iter().filter(|(name, _)| !used.contains(name.as_str())) {
        let message = format!("no route uses {kind} `{name}`");
        report.push(Diagnostic::new(code::UNUSED, message).at(item.place(), ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{source::Source, tree};

    fn check_names(text: &str, expected: &[&str]) {
        let source = Source::new(0, "a.toml".into(), text.into());
        let mut report = Report::default();
        let mut document = Document::new(&source);
        document.add(&source, tree::parse(&source, &mut report).unwrap(), &mut report);
        check(&document, &BTreeSet::from(["hello".to_owned()]), &mut report);
        let found: Vec<_> = report
            .diagnostics()
            .iter()
            .map(|d| {
                let label = d.labels().first().map_or("", |l| l.text.as_str());
                format!("{} {} {label}", d.code().id(), d.message()).trim_end().to_owned()
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_name_must_be_there() {
        check_names("[routes.a]\nfilters = ['hello']\nlisteners = ['http']", &[]);
        check_names(
            "[routes.a]\nfilters = ['helo', { plugin = 'none' }]",
            &["E0201 no plugin named `helo` did you mean `hello`?", "E0201 no plugin named `none`"],
        );
        check_names(
            "[routes.a]\nupstreams = [{ name = 'b' }]\nupstream = 'c'",
            &["E0202 no upstream named `b`", "E0202 no upstream named `c`"],
        );
        check_names(
            "[routes.a]\nchain = 'b'\nlisteners = ['htpp']",
            &["E0203 no chain named `b`", "E0204 no listener named `htpp` did you mean `http`?"],
        );
        check_names(
            "[routes.a]\nlisteners = ['http']\n[listeners.web]",
            &["E0204 no listener named `http`"],
        );
    }

    #[test]
    fn a_broken_route_is_checked_as_well() {
        check_names(
            "[routes.a]\ntimeout = 5\nchain = ['x']\nupstream = 'b'\nfilters = 'c'",
            &["E0202 no upstream named `b`"],
        );
    }

    #[test]
    fn what_nobody_uses_is_a_warning() {
        check_names(
            "[chains.a]\nfilters = ['none']\n[upstreams.b]",
            &[
                "W0201 no route uses chain `a`",
                "E0201 no plugin named `none`",
                "W0201 no route uses upstream `b`",
            ],
        );
        check_names("", &["W0301 there are no routes"]);
    }
}
