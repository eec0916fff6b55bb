//! A text with its name, and a range in it.

use std::{ops::Range, sync::Arc};

/// A text that configuration was read from.
#[derive(Debug)]
pub struct Source {
    /// Position among the sources of one load: the main file is 0.
    pub(crate) index: usize,
    name: String,
    text: String,
}

impl Source {
    /// Takes a text; `name` is what messages call it.
    pub(crate) fn new(index: usize, name: String, text: String) -> Arc<Self> {
        Arc::new(Self { index, name, text })
    }

    /// What messages call it, usually its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, both counted from 1, the column in characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }
}

/// A range of bytes in a source.
#[derive(Debug, Clone)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    /// Cuts the range to the text and widens it to whole characters, so that it can always be shown.
    pub(crate) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let text = source.text();
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
        Self { source: Arc::clone(source), span: start..end }
    }

    /// Where the text comes from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Bytes of the source.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Line and column of the first byte, counted from 1.
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.span.start)
    }

    /// What places are sorted by.
    pub(crate) fn order(&self) -> (usize, usize, usize) {
        (self.source.index, self.span.start, self.span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new(0, "a".into(), "ä = 1\nbc\n".into());
        for (offset, expected) in [(0, (1, 1)), (2, (1, 2)), (7, (2, 1)), (8, (2, 2)), (99, (3, 1))]
        {
            assert_eq!(source.position(offset), expected, "{offset}");
        }
    }

    #[test]
    fn a_place_lies_within_its_text() {
        let source = Source::new(0, "a".into(), "ä".into());
        for (span, expected) in
            [(0..1, 0..2), (1..2, 0..2), (5..9, 2..2), (Range { start: 2, end: 0 }, 2..2)]
        {
            assert_eq!(Place::new(&source, span).span(), expected);
        }
    }
}
