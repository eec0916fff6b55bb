//! References to environment variables and files in strings: `${env:NAME}`, `${env:NAME:-default}`, `${file:/path}`.

use std::{borrow::Cow, path::Path, path::PathBuf};

use toml::de::DeValue;

use crate::{
    Diagnostic, Place, Report, code, load,
    tree::{Document, Node},
};

/// Where references lead.
pub(crate) struct Outside<'a> {
    /// The value of an environment variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// What relative paths start from.
    pub(crate) base: &'a Path,
}

/// A string that had references in it.
pub(crate) struct Expanded {
    pub(crate) place: Place,
    pub(crate) value: String,
}

/// Replaces every reference in the document. Files that are read are added to `files`.
pub(crate) fn expand(
    document: &mut Document<'_>,
    outside: &Outside<'_>,
    files: &mut Vec<PathBuf>,
    report: &mut Report,
) -> Vec<Expanded> {
    let mut all = Vec::new();
    for item in document.items_mut() {
        let source = item.source;
        walk(&mut item.value, &mut |text, span| {
            let place = Place::new(source, span);
            match outside.replace(text, files) {
                Ok(value) => {
                    all.push(Expanded { place, value: value.clone() });
                    Some(value)
                }
                Err(message) => {
                    report.push(Diagnostic::new(code::REFERENCE, message).at(place, ""));
                    None
                }
            }
        });
    }
    all
}

type Replace<'a> = dyn FnMut(&str, std::ops::Range<usize>) -> Option<String> + 'a;

fn walk(node: &mut Node<'_>, replace: &mut Replace<'_>) {
    let span = node.span();
    match node.get_mut() {
        DeValue::String(text)
            if text.contains('$') && [ENV, FILE].iter().any(|r| text.contains(r)) =>
        {
            if let Some(new) = replace(text, span) {
                *text = Cow::Owned(new);
            }
        }
        DeValue::Array(items) => items.iter_mut().for_each(|item| walk(item, replace)),
        DeValue::Table(table) => table.iter_mut().for_each(|(_, value)| walk(value, replace)),
        _ => {}
    }
}

const ENV: &str = "${env:";
const FILE: &str = "${file:";
/// A secret or a certificate; not a second configuration.
const LARGEST_FILE: usize = 64 << 10;

impl Outside<'_> {
    fn replace(&self, text: &str, files: &mut Vec<PathBuf>) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = [rest.find(ENV), rest.find(FILE)].into_iter().flatten().min() {
            let (before, reference) = rest.split_at(at);
            if let Some(escaped) = before.strip_suffix('$') {
                out += escaped;
                out += "${";
                rest = &reference[2..];
                continue;
            }
            out += before;
            let (inner, behind) =
                reference[2..].split_once('}').ok_or("a reference is not closed by `}`")?;
            out += &self.value(inner, files)?;
            rest = behind;
        }
        out += rest;
        Ok(out)
    }

    fn value(&self, reference: &str, files: &mut Vec<PathBuf>) -> Result<String, String> {
        if let Some(path) = reference.strip_prefix("file:") {
            let path = self.base.join(path);
            let text = load::read(&path, LARGEST_FILE).map_err(|e| {
                e.about(code::REFERENCE, &path.display().to_string()).message().to_owned()
            });
            files.push(path);
            let text = text?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(line.strip_suffix('\r').unwrap_or(line).to_owned());
        }
        let name = reference.strip_prefix("env:").unwrap_or(reference);
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        // A name that the system cannot hold would make the look-up panic on some platforms.
        let possible = !name.is_empty() && !name.contains(['=', '\0']);
        let value = if possible { (self.variable)(name) } else { None };
        match (value, default) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(_)) if !value.is_empty() => Ok(value),
            (_, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(format!("environment variable `{name}` is not set")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "secret\n").unwrap();
        let outside = Outside { variable: &variable, base: folder.path() };
        let cases = [
            ("${env:HOST}", Ok("example.com")),
            ("a.${env:HOST}:${env:PORT:-80}/", Ok("a.example.com:80/")),
            ("${env:EMPTY:-x}${env:EMPTY}", Ok("x")),
            ("${env:NONE:-}", Ok("")),
            ("$${env:HOST} ${other} $", Ok("${env:HOST} ${other} $")),
            ("${file:key}!", Ok("secret!")),
            ("${env:NONE}", Err("environment variable `NONE` is not set")),
            ("${env:}", Err("environment variable `` is not set")),
            ("${env:A=B\0}", Err("environment variable `A=B\0` is not set")),
            ("${env:HOST", Err("a reference is not closed by `}`")),
        ];
        for (text, expected) in cases {
            let found = outside.replace(text, &mut Vec::new());
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected, "{text}");
        }
        assert!(outside.replace("${file:none}", &mut Vec::new()).is_err());
    }
}
