//! The untyped tree of all files together: named entries and single tables, each with its place.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Diagnostic, Place, Report, code, source::Source};

/// A value of the tree with its place.
pub(crate) type Node<'s> = Spanned<DeValue<'s>>;

/// One entry, such as a route, or one single table, such as `[server]`.
pub(crate) struct Item<'s> {
    pub(crate) source: &'s Arc<Source>,
    pub(crate) key: Range<usize>,
    pub(crate) value: Node<'s>,
}

/// Entries of one kind by name.
pub(crate) type Section<'s> = BTreeMap<String, Item<'s>>;

/// All files together.
pub(crate) struct Document<'s> {
    /// Stands for tables that are left out.
    pub(crate) empty: Item<'s>,
    pub(crate) singles: BTreeMap<String, Item<'s>>,
    pub(crate) listeners: Section<'s>,
    pub(crate) plugins: Section<'s>,
    pub(crate) chains: Section<'s>,
    pub(crate) upstreams: Section<'s>,
    pub(crate) routes: Section<'s>,
}

/// Reads one file. On mistakes of grammar at most three are reported, because recovery is a guess and cascades.
pub(crate) fn parse<'s>(source: &'s Arc<Source>, report: &mut Report) -> Option<DeTable<'s>> {
    let first = match DeTable::parse(source.text()) {
        Ok(table) => return Some(table.into_inner()),
        Err(error) => error,
    };
    let errors = match source.text().len() {
        0..=LARGEST_RECOVERED => DeTable::parse_recoverable(source.text()).1,
        _ => vec![first],
    };
    for error in errors.iter().take(MOST_ERRORS) {
        let place = Place::new(source, error.span().unwrap_or_default());
        report.push(Diagnostic::new(code::SYNTAX, error.message()).at(place, ""));
    }
    None
}

const MOST_ERRORS: usize = 3;
/// Each byte of a larger file could be an error with a text of its own.
const LARGEST_RECOVERED: usize = 1 << 20;

impl<'s> Document<'s> {
    /// Nothing yet; `main` is the main file.
    pub(crate) fn new(main: &'s Arc<Source>) -> Self {
        let value = Spanned::new(0..0, DeValue::Table(DeTable::new()));
        Self {
            empty: Item { source: main, key: 0..0, value },
            singles: BTreeMap::new(),
            listeners: Section::new(),
            plugins: Section::new(),
            chains: Section::new(),
            upstreams: Section::new(),
            routes: Section::new(),
        }
    }

    /// Puts the tables of one file beside those that are there.
    pub(crate) fn add(&mut self, source: &'s Arc<Source>, table: DeTable<'s>, report: &mut Report) {
        for (key, value) in table {
            let name = key.get_ref().clone().into_owned();
            let item = Item { source, key: key.span(), value };
            let section = match name.as_str() {
                "x" => continue,
                "listeners" => &mut self.listeners,
                "plugins" => &mut self.plugins,
                "chains" => &mut self.chains,
                "upstreams" => &mut self.upstreams,
                "routes" => &mut self.routes,
                "include" if source.index > 0 => {
                    let message = "only the main file may include others";
                    report.push(Diagnostic::new(code::INCLUDE, message).at(item.place(), ""));
                    continue;
                }
                "version" if self.singles.contains_key("version") => continue,
                _ => {
                    insert(&mut self.singles, name, item, report);
                    continue;
                }
            };
            add_entries(section, &name, item, report);
        }
    }

    /// Every entry and single table.
    pub(crate) fn items_mut(&mut self) -> impl Iterator<Item = &mut Item<'s>> {
        let Self { singles, listeners, plugins, chains, upstreams, routes, .. } = self;
        let sections = [singles, listeners, plugins, chains, upstreams, routes];
        sections.into_iter().flat_map(BTreeMap::values_mut)
    }
}

fn add_entries<'s>(section: &mut Section<'s>, kind: &str, item: Item<'s>, report: &mut Report) {
    let source = item.source;
    let place = item.place();
    let DeValue::Table(entries) = item.value.into_inner() else {
        let message = format!("expected a table of {kind} by name");
        let help = format!("write `[{kind}.<name>]`");
        report.push(Diagnostic::new(code::WRONG_TYPE, message).at(place, "").help(help));
        return;
    };
    let entries = entries.into_iter().map(|(key, value)| {
        let name = key.get_ref().clone().into_owned();
        (name, Item { source, key: key.span(), value })
    });
    if section.is_empty() {
        *section = entries.collect(); // faster than one by one, since they come in order
        return;
    }
    for (name, item) in entries {
        insert(section, name, item, report);
    }
}

fn insert<'s>(section: &mut Section<'s>, name: String, item: Item<'s>, report: &mut Report) {
    match section.get(&name) {
        Some(first) => report.push(
            Diagnostic::new(code::DEFINED_TWICE, format!("`{name}` is defined in two files"))
                .at(item.place(), "defined again here")
                .at(first.place(), "defined here first"),
        ),
        None => {
            section.insert(name, item);
        }
    }
}

impl<'s> Item<'s> {
    /// The header of a table that has one, else the key.
    pub(crate) fn place(&self) -> Place {
        let value = self.value.span();
        let header = self.source.text().get(value.clone()).is_some_and(|t| t.starts_with('['));
        let span =
            if header && !self.value.get_ref().is_array() { value } else { self.key.clone() };
        Place::new(self.source, span)
    }

    /// The first byte of its key or of its header.
    pub(crate) fn start(&self) -> usize {
        self.key.start.min(self.value.span().start)
    }

    /// A place in the same file.
    pub(crate) fn at(&self, span: Range<usize>) -> Place {
        Place::new(self.source, span)
    }

    /// The value of a key, if this is a table.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'s>> {
        self.value.get_ref().as_table()?.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[&str], expected: &[&str]) {
        let sources: Vec<_> = texts.iter().enumerate().map(|(n, text)| source(n, text)).collect();
        let mut report = Report::default();
        let mut document = Document::new(&sources[0]);
        for source in &sources {
            if let Some(table) = parse(source, &mut report) {
                document.add(source, table, &mut report);
            }
        }
        let found: Vec<_> = report.diagnostics().iter().map(|d| d.message()).collect();
        assert_eq!(found, expected, "{texts:?}");
    }

    fn source(index: usize, text: &str) -> Arc<Source> {
        Source::new(index, format!("{index}.toml"), text.to_owned())
    }

    #[test]
    fn files_stand_beside_each_other() {
        check(&["[routes.a]\n[server]", "[routes.b]\n[admin]", "[x.routes.a]"], &[]);
        check(&["[routes.a]", "[routes.a]"], &["`a` is defined in two files"]);
        check(&["[server]", "[server]"], &["`server` is defined in two files"]);
        check(&["version = 1", "version = 1"], &[]);
        check(&["[[routes]]"], &["expected a table of routes by name"]);
        check(&["routes = 1"], &["expected a table of routes by name"]);
    }

    #[test]
    fn at_most_three_mistakes_of_grammar_are_reported() {
        let source = source(0, &"a = [\n".repeat(20));
        let mut report = Report::default();
        assert!(parse(&source, &mut report).is_none());
        assert!((1..=3).contains(&report.diagnostics().len()), "{report}");
    }

    #[test]
    fn an_entry_is_shown_by_its_header() {
        for (text, expected) in [
            ("[plugins.geo-tag]\n", "[plugins.geo-tag]"),
            ("[plugins]\ngeo-tag = {}", "geo-tag"),
            ("plugins.geo-tag.x = 1", "geo-tag"),
            ("[plugins.geo-tag.limits]", "geo-tag"),
            ("[[plugins.geo-tag]]", "geo-tag"),
        ] {
            let source = source(0, text);
            let mut report = Report::default();
            let mut document = Document::new(&source);
            document.add(&source, parse(&source, &mut report).unwrap(), &mut report);
            assert_eq!(&text[document.plugins["geo-tag"].place().span()], expected);
        }
    }
}
