//! One message with the places it is about. Only this file knows annotate-snippets.

use std::{ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    code::Code,
    source::{Place, Source},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but is probably not what was meant.
    Warning,
}

/// One message about a configuration.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    code: Code,
    message: String,
    labels: Vec<Label>,
    help: Option<String>,
    note: Option<String>,
}

/// A place with a remark; the first of a message is the place it is about.
#[derive(Debug, Clone)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// May be empty.
    pub text: String,
}

impl Diagnostic {
    /// A message without a place. No full stop, values in backticks.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), labels: Vec::new(), help: None, note: None }
    }

    /// Adds a place with a remark. The first one is the place that the message is about.
    pub fn at(mut self, place: Place, text: impl Into<String>) -> Self {
        self.labels.push(Label { place, text: text.into() });
        self
    }

    /// Says what to do.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Says where something comes from.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.note = Some(text.into());
        self
    }

    /// What kind of mistake it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Places; the first one is what the message is about.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Puts what is written in the file in the place of its value, which may be a secret.
    pub(crate) fn redact(&mut self, value: &str, written: &str) {
        let texts = self.labels.iter_mut().map(|label| &mut label.text);
        let texts = texts.chain([&mut self.message]).chain(&mut self.help).chain(&mut self.note);
        for text in texts.filter(|text| text.contains(value)) {
            *text = text.replace(value, written);
        }
    }

    /// What messages are sorted by: those without a place come first.
    pub(crate) fn order(&self) -> Option<(usize, usize, usize)> {
        self.labels.first().map(|label| label.place.order())
    }

    /// The text for people, in the manner of rustc, without a line break at its end.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code.id());
        let mut group = Group::with_title(title).elements(self.snippets());
        group = group.elements(self.note.as_deref().map(|text| Level::NOTE.message(text)));
        group = group.elements(self.help.as_deref().map(|text| Level::HELP.message(text)));
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    fn snippets(&self) -> Vec<Element<'_>> {
        let mut files: Vec<(&Arc<Source>, Numbered<'_>)> = Vec::new();
        for (n, label) in self.labels.iter().enumerate() {
            let source = label.place.source();
            match files.iter_mut().find(|(known, _)| Arc::ptr_eq(known, source)) {
                Some((_, labels)) => labels.push((n, label)),
                None => files.push((source, vec![(n, label)])),
            }
        }
        files.into_iter().flat_map(|(source, labels)| windows(source, &labels)).collect()
    }
}

/// Labels with their position in the message.
type Numbered<'a> = Vec<(usize, &'a Label)>;

/// One window for all labels of a source, or one for each if they are far apart.
fn windows<'a>(source: &'a Source, labels: &[(usize, &'a Label)]) -> Vec<Element<'a>> {
    let start = labels.iter().map(|(_, l)| l.place.span().start).min().unwrap_or(0);
    let end = labels.iter().map(|(_, l)| l.place.span().end).max().unwrap_or(0);
    let lines = lines_around(source.text(), start..end);
    if lines.len() <= LARGEST_WINDOW {
        return vec![window(source, lines, labels)];
    }
    match labels {
        [(_, label)] => vec![origin(source, label)],
        _ => labels.iter().flat_map(|label| windows(source, std::slice::from_ref(label))).collect(),
    }
}

/// Bytes of source that are shown for a message; a longer line is not worth reading.
const LARGEST_WINDOW: usize = 64 << 10;

fn window<'a>(
    source: &'a Source,
    lines: Range<usize>,
    labels: &[(usize, &'a Label)],
) -> Element<'a> {
    let (first_line, _) = source.position(lines.start);
    let text = source.text().get(lines.clone()).unwrap_or_default();
    let annotations = labels.iter().map(|(n, label)| {
        let span = label.place.span();
        let kind = if *n == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(span.start - lines.start..span.end - lines.start);
        annotation.label((!label.text.is_empty()).then_some(label.text.as_str()))
    });
    Snippet::source(text)
        .line_start(first_line)
        .path(source.name())
        .annotations(annotations.collect::<Vec<_>>())
        .into()
}

fn origin<'a>(source: &'a Source, label: &Label) -> Element<'a> {
    let (line, column) = label.place.position();
    Origin::path(source.name()).line(line).char_column(column).into()
}

fn lines_around(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.get(..span.start).and_then(|t| t.rfind('\n')).map_or(0, |at| at + 1);
    let behind = text.get(span.end..).and_then(|t| t.find('\n'));
    start..behind.map_or(text.len(), |at| span.end + at)
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let first = self.labels.first();
        let position = first.map(|label| label.place.position());
        let mut out = serializer.serialize_struct("Diagnostic", 10)?;
        out.serialize_field("code", self.code.id())?;
        out.serialize_field("severity", &self.severity())?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("file", &first.map(|label| label.place.source().name()))?;
        out.serialize_field("line", &position.map(|p| p.0))?;
        out.serialize_field("column", &position.map(|p| p.1))?;
        out.serialize_field("span", &first.map(|label| label.place.span()))?;
        out.serialize_field("labels", &self.labels)?;
        out.serialize_field("help", &self.help)?;
        out.serialize_field("note", &self.note)?;
        out.end()
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (line, column) = self.place.position();
        let mut out = serializer.serialize_struct("Label", 5)?;
        out.serialize_field("file", self.place.source().name())?;
        out.serialize_field("line", &line)?;
        out.serialize_field("column", &column)?;
        out.serialize_field("span", &self.place.span())?;
        out.serialize_field("text", &self.text)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code;

    fn diagnostic(text: &str, span: Range<usize>) -> Diagnostic {
        let source = Source::new(0, "edgewit.toml".into(), text.into());
        Diagnostic::new(code::UNKNOWN_KEY, "unknown key `fule`")
            .at(Place::new(&source, span), "did you mean `fuel`?")
            .help("known keys: fuel, memory")
    }

    #[test]
    fn a_message_looks_like_one_of_rustc() {
        let expected = "\
error[E0102]: unknown key `fule`
 --> edgewit.toml:2:1
  |
2 | fule = 5
  | ^^^^ did you mean `fuel`?
  |
  = help: known keys: fuel, memory";
        assert_eq!(diagnostic("[limits]\nfule = 5\n", 9..13).render(false), expected);
    }

    #[test]
    fn colour_is_there_when_asked_for() {
        assert!(diagnostic("fule = 5", 0..4).render(true).contains('\u{1b}'));
        assert!(!diagnostic("fule = \u{1b}[2J", 0..4).render(false).contains('\u{1b}'));
    }

    #[test]
    fn a_line_of_a_megabyte_is_not_shown() {
        let text = "fule = 5,".repeat(1 << 17);
        let rendered = diagnostic(&text, 9..13).render(false);
        assert!(rendered.contains("edgewit.toml:1:10") && rendered.len() < 200, "{rendered}");
    }

    #[test]
    fn a_message_is_an_object_for_tools() {
        let json = serde_json::to_value(diagnostic("\nfule = 5", 1..5)).unwrap();
        assert_eq!(json["code"], "E0102");
        assert_eq!(json["severity"], "error");
        assert_eq!((&json["line"], &json["column"]), (&2.into(), &1.into()));
        assert_eq!(json["span"], serde_json::json!({ "start": 1, "end": 5 }));
        assert_eq!(json["labels"][0]["text"], "did you mean `fuel`?");
    }
}
