//! Everything that was found, sorted by place.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use serde::{Serialize, Serializer};

use crate::{Code, Diagnostic, Files, Severity, env::Expanded};

/// Messages about a configuration, sorted by place. As an error it displays all of them without colour.
#[derive(Debug, Clone, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    more: usize,
    files: Files,
}

impl Report {
    /// Takes in a message at its place. Beyond 1,000 they are only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        let key = diagnostic.order();
        let at = self.diagnostics.partition_point(|d| d.order() <= key);
        self.diagnostics.insert(at, diagnostic);
    }

    /// Leaves out what is said at a place where something else is the cause.
    pub(crate) fn without_consequences(mut self, cause: Code) -> Self {
        let at_cause = |d: &Diagnostic| (d.code() == cause).then(|| d.order());
        let places: BTreeSet<_> = self.diagnostics.iter().filter_map(at_cause).collect();
        self.diagnostics.retain(|d| d.code() == cause || !places.contains(&d.order()));
        self
    }

    /// Keeps the values of references out of the messages: they may be secrets.
    pub(crate) fn redact(&mut self, expanded: &[Expanded]) {
        let by_place: HashMap<_, _> = expanded.iter().map(|e| (e.place.order(), e)).collect();
        for diagnostic in &mut self.diagnostics {
            let found = diagnostic.order().and_then(|order| by_place.get(&order));
            if let Some(Expanded { place, value }) = found.filter(|e| !e.value.is_empty()) {
                let written = place.source().text().get(place.span()).unwrap_or_default();
                diagnostic.redact(value, written.trim_matches(['"', '\'']));
            }
        }
    }

    /// The same, about what was read from these files.
    pub(crate) fn about(self, files: Files) -> Self {
        Self { files, ..self }
    }

    /// What the configuration that was refused was read from, as far as it came; nothing for warnings.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The messages, in order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Is there no room for another message? Then it need not be made.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MOST
    }

    /// How many messages there are, with those that there was no room for.
    pub(crate) fn count(&self) -> usize {
        self.diagnostics.len() + self.more
    }

    /// Is there nothing to say?
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Is one of them an error?
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity() == Severity::Error)
    }

    /// The text for people, with an empty line between messages.
    pub fn render(&self, color: bool) -> String {
        let mut out: Vec<String> = self.diagnostics.iter().map(|d| d.render(color)).collect();
        if self.more > 0 {
            out.push(format!("and {} more", self.more));
        }
        out.join("\n\n")
    }
}

/// A script can write a million mistakes; nobody reads them.
const MOST: usize = 1_000;

impl From<Diagnostic> for Report {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostics: vec![diagnostic], more: 0, files: Files::default() }
    }
}

impl Extend<Diagnostic> for Report {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        for diagnostic in diagnostics {
            self.push(diagnostic);
        }
    }
}

impl IntoIterator for Report {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.diagnostics.into_iter()
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.diagnostics)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, code, source::Source};

    #[test]
    fn messages_are_sorted_and_bounded() {
        let source = Source::new(0, "a.toml".into(), "abc".into());
        let mut report = Report::default();
        for start in [2, 0, 1] {
            let place = Place::new(&source, start..start + 1);
            report.push(Diagnostic::new(code::SYNTAX, start.to_string()).at(place, ""));
        }
        let order: Vec<_> = report.diagnostics().iter().map(Diagnostic::message).collect();
        assert_eq!(order, ["0", "1", "2"]);
        report.extend((0..2_000).map(|_| Diagnostic::new(code::SYNTAX, "")));
        assert_eq!(report.diagnostics().len(), MOST);
        assert!(report.to_string().ends_with("and 1003 more"));
    }
}
