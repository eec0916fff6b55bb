//! From the untyped tree to the raw types, with all errors of an entry instead of the first one.

use std::ops::Range;

use serde::{Deserialize, de::IntoDeserializer};
use toml::de::{DeArray, DeValue};

use crate::{
    Diagnostic, Place, Report, code,
    suggest::did_you_mean,
    tree::{Item, Node},
};

/// Reads an entry. A key whose value does not fit is reported and dropped, and the rest is tried again.
pub(crate) fn read<'s, T: Deserialize<'s> + Default>(item: &Item<'s>, report: &mut Report) -> T {
    let mut rest = None;
    for _ in 0..MOST_ERRORS {
        let node = rest.as_ref().unwrap_or(&item.value);
        let error = match T::deserialize(node.clone().into_deserializer()) {
            Ok(value) => return value,
            Err(error) => error,
        };
        let node = rest.get_or_insert_with(|| item.value.clone());
        let span = error.span().unwrap_or_else(|| node.span());
        let place = if span == item.value.span() { item.place() } else { item.at(span.clone()) };
        report.push(diagnostic(error.message(), place));
        if !remove(node, &span) {
            break;
        }
    }
    T::default()
}

/// Each further error of one entry costs a copy of the entry.
const MOST_ERRORS: usize = 20;

/// Removes the innermost value at this span.
fn remove(node: &mut Node<'_>, span: &Range<usize>) -> bool {
    match node.get_mut() {
        DeValue::Table(table) => {
            let inner = table.iter_mut().any(|(_, value)| remove(value, span));
            let found = table.iter().find(|(_, v)| v.span() == *span).map(|(key, _)| key.clone());
            inner || found.is_some_and(|key| table.remove(&key).is_some())
        }
        DeValue::Array(items) => {
            let inner = items.iter_mut().any(|value| remove(value, span));
            let found = items.iter().position(|v| v.span() == *span);
            if let (false, Some(at)) = (inner, found) {
                let kept = items.iter().enumerate().filter(|(n, _)| *n != at);
                let kept: Vec<Node<'_>> = kept.map(|(_, v)| v.clone()).collect();
                *items = DeArray::new();
                kept.into_iter().for_each(|value| items.push(value));
            }
            inner || found.is_some()
        }
        _ => false,
    }
}

/// Serde knows texts only, so this is where they are told apart.
fn diagnostic(message: &str, place: Place) -> Diagnostic {
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        return Diagnostic::new(code::WRONG_TYPE, turned(rest)).at(place, "");
    }
    if message.starts_with("missing field") {
        let message = message.replace("missing field", "missing key");
        return Diagnostic::new(code::MISSING_KEY, message).at(place, "");
    }
    if message.starts_with("unknown variant") {
        let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let (word, known) = words.split_first().map_or(("", &[][..]), |(w, k)| (*w, k));
        let text = format!("unknown value `{word}`; use {}", listed(known));
        let label = did_you_mean(word, known.iter().copied());
        return Diagnostic::new(code::INVALID_VALUE, text).at(place, label);
    }
    let rest = message.strip_prefix("invalid value: ").map(turned);
    Diagnostic::new(code::INVALID_VALUE, rest.unwrap_or_else(|| message.to_owned())).at(place, "")
}

/// `integer `5`, expected a string` becomes `expected a string, found integer `5``.
fn turned(text: &str) -> String {
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let expected = match expected.split_once(' ') {
        Some(("struct", _)) => "a table",
        _ if matches!(expected, "u64" | "u32") => "a whole number from 0",
        _ if expected == "i64" => "a whole number",
        _ if expected == "a sequence" => "a list",
        _ if expected == "a map" => "a table",
        _ => expected,
    };
    let found = match found {
        "sequence" => "a list",
        "map" => "a table",
        _ => found,
    };
    format!("expected {expected}, found {found}")
}

/// `a`, `b` or `c`.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
