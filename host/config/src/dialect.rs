//! Inline tables in the manner of TOML 1.1, which other tools may not read.

use std::{ops::Range, sync::Arc};

use toml::de::{DeTable, DeValue};

use crate::{Diagnostic, Place, Report, code, source::Source, tree::Node};

/// Warns of inline tables over several lines or with a comma at the end.
pub(crate) fn check(table: &DeTable<'_>, source: &Arc<Source>, report: &mut Report) {
    table.iter().for_each(|(_, value)| walk(value, source, report));
}

fn walk(node: &Node<'_>, source: &Arc<Source>, report: &mut Report) {
    match node.get_ref() {
        DeValue::Table(table) => {
            let text = source.text().get(node.span()).unwrap_or_default();
            if text.starts_with('{') && is_new(table, node.span(), source.text()) {
                let message = "this inline table needs TOML 1.1";
                let place = Place::new(source, node.span().start..node.span().start + 1);
                report.push(
                    Diagnostic::new(code::TOML_1_1, message)
                        .at(place, "over several lines, or with a comma at the end")
                        .note("other tools may read TOML 1.0 only"),
                );
                return;
            }
            check(table, source, report);
        }
        DeValue::Array(items) => items.iter().for_each(|item| walk(item, source, report)),
        _ => {}
    }
}

/// Is there a line break or a last comma outside of the values?
fn is_new(table: &DeTable<'_>, span: Range<usize>, text: &str) -> bool {
    let mut values = Vec::new();
    leaves(table, text, &mut values);
    values.sort_by_key(|value| value.start);
    let mut at = span.start;
    let mut outside = String::new();
    for value in values {
        outside += text.get(at..value.start).unwrap_or_default();
        at = value.end.max(at);
    }
    outside += text.get(at..span.end).unwrap_or_default();
    let comma_at_end = outside.strip_suffix('}').is_some_and(|t| t.trim_end().ends_with(','));
    outside.contains('\n') || comma_at_end
}

/// Places of the values, also of those behind dotted keys.
fn leaves(table: &DeTable<'_>, text: &str, out: &mut Vec<Range<usize>>) {
    for (_, value) in table {
        let span = value.span();
        let inline = text.get(span.clone()).is_some_and(|t| t.starts_with('{'));
        match value.get_ref() {
            DeValue::Table(inner) if !inline => leaves(inner, text, out),
            _ => out.push(span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_tables_of_toml_1_1_are_noticed() {
        let cases = [
            ("a = { b = 1, c = [\n1,\n], d = '''\n''' }", 0),
            ("a = { b.c = '}', b.d = { } }", 0),
            ("a = { b = 1, }", 1),
            ("a = {\n b = 1\n}", 1),
            ("a = [{ b = {\n} }, { c = 1, }]", 2),
            ("[a]\nb = 1\n[a.c]\n", 0),
        ];
        for (text, expected) in cases {
            let source = Source::new(0, "a.toml".into(), text.into());
            let mut report = Report::default();
            check(DeTable::parse(text).unwrap().get_ref(), &source, &mut report);
            assert_eq!(report.diagnostics().len(), expected, "{text}");
        }
    }
}
