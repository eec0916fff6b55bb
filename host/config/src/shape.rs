//! Unknown keys, looked up in the JSON Schema that the raw types derive.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ptr,
    rc::Rc,
    sync::Arc,
};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::{Diagnostic, Place, Report, code, schema::SCHEMA, source::Source, suggest, tree::Node};

/// Reports every key of a file that no type has, and removes it.
pub(crate) fn check(table: &mut DeTable<'_>, source: &Arc<Source>, report: &mut Report) {
    Shape { source, report, known: HashMap::new() }.table(table, &[&*SCHEMA]);
}

struct Shape<'a> {
    source: &'a Arc<Source>,
    report: &'a mut Report,
    /// What schemas ask for, by the address of the first of them: thousands of routes have the same.
    known: HashMap<*const Value, Vec<(Schemas, Rc<Fit>)>>,
}

/// Of which any may hold.
type Schemas = Vec<&'static Value>;

/// What values may be for which any of some schemas holds.
struct Fit {
    tables: Vec<TableShape<'static>>,
    /// A table, but neither a list nor a text.
    only_tables: bool,
    /// Of the items of a list.
    items: Schemas,
}

impl Shape<'_> {
    fn fit(&mut self, schemas: &[&'static Value]) -> Rc<Fit> {
        let first = schemas.first().map_or(ptr::null(), |first| ptr::from_ref(*first));
        let known = self.known.entry(first).or_default();
        let same = |of: &Schemas| {
            of.len() == schemas.len() && of.iter().zip(schemas).all(|(a, b)| ptr::eq(*a, *b))
        };
        if let Some((_, fit)) = known.iter().find(|(of, _)| same(of)) {
            return Rc::clone(fit);
        }
        let fit = Rc::new(Fit::of(schemas));
        known.push((schemas.to_vec(), Rc::clone(&fit)));
        fit
    }

    fn table(&mut self, table: &mut DeTable<'_>, schemas: &[&'static Value]) {
        let fit = self.fit(schemas);
        let shapes = &fit.tables;
        if shapes.is_empty() {
            return; // no table at all is wanted here; that is for the types to say
        }
        let (mut unknown, mut wrong) = (Vec::new(), Vec::new());
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().as_ref();
            let fits = match shapes.as_slice() {
                // Nearly always; a list for each key of thousands of routes would be felt.
                [only] => only.get(name).map(|schema| self.value(value, &[schema])),
                several => {
                    let inner: Vec<_> = several.iter().filter_map(|s| s.get(name)).collect();
                    (!inner.is_empty()).then(|| self.value(value, &inner))
                }
            };
            match fits {
                None => unknown.push((name.to_owned(), key.span())),
                Some(true) => {}
                Some(false) => wrong.push(name.to_owned()),
            }
        }
        if !wrong.is_empty() || !unknown.is_empty() {
            // At once: one by one, each would move all that are behind it.
            let unknown = unknown.iter().map(|(name, _)| name.as_str());
            let gone: HashSet<&str> = wrong.iter().map(String::as_str).chain(unknown).collect();
            let all = std::mem::take(table).into_iter();
            let kept = all.filter(|(key, _)| !gone.contains(key.get_ref().as_ref()));
            kept.for_each(|(key, value)| drop(table.insert(key, value)));
        }
        if unknown.is_empty() {
            return;
        }
        let known: BTreeSet<&str> = shapes.iter().flat_map(TableShape::names).collect();
        for (name, span) in unknown {
            let diagnostic = Diagnostic::new(code::UNKNOWN_KEY, format!("unknown key `{name}`"));
            let place = Place::new(self.source, span);
            if self.report.is_full() {
                self.report.push(diagnostic.at(place, "")); // it is only counted
                continue;
            }
            let label = suggest::did_you_mean(&name, known.iter().copied());
            let list: Vec<&str> = known.iter().copied().collect();
            let help = format!("known keys: {}", list.join(", "));
            self.report.push(diagnostic.at(place, label).help(help));
        }
    }

    /// Looks into a value. False if it is a list where only a table fits: serde would fill the table from it, key by key.
    fn value(&mut self, value: &mut Node<'_>, schemas: &[&'static Value]) -> bool {
        let span = value.span();
        match value.get_mut() {
            DeValue::Table(table) => self.table(table, schemas),
            DeValue::Array(items) => {
                let fit = self.fit(schemas);
                if fit.only_tables {
                    let message = "expected a table, found a list";
                    let place = Place::new(self.source, span);
                    self.report.push(Diagnostic::new(code::WRONG_TYPE, message).at(place, ""));
                    return false;
                }
                let mut fits = true;
                for item in items.iter_mut() {
                    fits &= self.value(item, &fit.items);
                }
                return fits;
            }
            _ => {}
        }
        true
    }
}

fn takes(schemas: &[&Value], kind: &str) -> bool {
    schemas.iter().any(|schema| schema.get("type").is_some_and(|t| t == kind))
}

/// Keys of a table and what further keys may hold.
struct TableShape<'a> {
    properties: Option<&'a serde_json::Map<String, Value>>,
    others: Option<&'a Value>,
}

impl<'a> TableShape<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        let named = self.properties.and_then(|p| p.get(key));
        named.or(self.others.filter(|schema| **schema != Value::Bool(false)))
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.properties.into_iter().flat_map(|p| p.keys().map(String::as_str))
    }
}

impl Fit {
    fn of(schemas: &[&'static Value]) -> Self {
        let all = alternatives(schemas);
        let shape = |schema: &&'static Value| {
            let properties = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties");
            let found = properties.is_some() || others.is_some();
            // `true` is the schema that anything fits.
            found.then_some(TableShape { properties, others })
        };
        let anything = all.iter().filter(|schema| ***schema == Value::Bool(true));
        let anything = anything.map(|s| TableShape { properties: None, others: Some(s) });
        Self {
            tables: all.iter().filter_map(shape).chain(anything).collect(),
            only_tables: takes(&all, "object") && !takes(&all, "array") && !takes(&all, "string"),
            items: all.iter().filter_map(|schema| schema.get("items")).collect(),
        }
    }
}

/// The schemas behind references and choices.
fn alternatives<'a>(schemas: &[&'a Value]) -> Vec<&'a Value> {
    let mut out = Vec::new();
    let mut left: Vec<&'a Value> = schemas.to_vec();
    while let Some(schema) = left.pop() {
        out.push(schema);
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        left.extend(target.and_then(|path| SCHEMA.pointer(path)));
        for choice in ["anyOf", "oneOf", "allOf"] {
            left.extend(schema.get(choice).and_then(Value::as_array).into_iter().flatten());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_keys(text: &str, expected: &[&str]) {
        let source = Source::new(0, "a.toml".into(), text.into());
        let mut report = Report::default();
        let mut table = DeTable::parse(source.text()).unwrap().into_inner();
        check(&mut table, &source, &mut report);
        let found: Vec<_> = report
            .diagnostics()
            .iter()
            .map(|d| format!("{}: {}", d.message(), d.labels()[0].text))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn unknown_keys_are_found_at_every_depth() {
        check_keys("[x]\na = { b = [{ c = 1 }] }", &[]);
        check_keys("[plugins.a.config]\na = { b = [{ c = 1 }] }", &[]);
        check_keys("[route.a]", &["unknown key `route`: did you mean `routes`?"]);
        check_keys("[routes.a]\nmatches = ''", &["unknown key `matches`: did you mean `match`?"]);
        check_keys(
            "routes.a.filters = [{ plugin = 'a', confg = {} }]",
            &["unknown key `confg`: did you mean `config`?"],
        );
        check_keys(
            "routes.a.match = [{ hots = 'a' }, 'b']",
            &["unknown key `hots`: did you mean `host`?"],
        );
        check_keys("routes.a.match = { header = { anything = 'a' } }", &[]);
        check_keys(
            "plugins.a.isolation = { worker = { recicle = 1 }, zzz = 2 }",
            &["unknown key `recicle`: did you mean `recycle`?", "unknown key `zzz`: "],
        );
        check_keys(
            "[limits]\nfule = 1\nrequest-fuel = 1",
            &["unknown key `fule`: did you mean `fuel`?"],
        );
        check_keys("[plugins.a.limits]\nrequest-fuel = 1", &["unknown key `request-fuel`: "]);
        check_keys("routes.a.match = ['/', ['x']]", &[]);
        for text in ["server = [{ x = 1 }]", "plugins.a.allow = ['kv']", "[[routes]]"] {
            check_keys(text, &["expected a table, found a list: "]);
        }
    }
}
