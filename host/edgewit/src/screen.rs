//! Where text goes: data to standard output, words for people to standard error.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::cli::{Color, Global, Output};

/// The two outputs of a command, in the manner that the user wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    output: Output,
    quiet: bool,
    color: Color,
}

impl Screen {
    pub(crate) fn new(global: &Global) -> Self {
        Self { output: global.output, quiet: global.quiet, color: global.color }
    }

    /// Do programs read what is printed?
    pub(crate) fn is_json(self) -> bool {
        self.output == Output::Json
    }

    /// Colours on standard error?
    pub(crate) fn colors_notes(self) -> bool {
        self.colors(std::io::stderr().is_terminal())
    }

    /// Colours on standard output?
    pub(crate) fn colors_data(self) -> bool {
        self.colors(std::io::stdout().is_terminal())
    }

    fn colors(self, terminal: bool) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }

    /// What was asked for.
    pub(crate) fn data(self, text: impl AsRef<str>) {
        // A reader that has seen enough, such as `head`, is no error.
        let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref().trim_end_matches('\n'));
    }

    /// What was asked for, for programs.
    pub(crate) fn json(self, value: &impl Serialize) -> anyhow::Result<()> {
        self.data(serde_json::to_string_pretty(value)?);
        Ok(())
    }

    /// Words beside it.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Words that are said even if quiet is wanted.
    pub(crate) fn error(self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref().trim_end_matches('\n'));
    }

    /// Text in a colour of ANSI, if standard error takes colours.
    pub(crate) fn paint(self, color: u8, text: &str) -> String {
        if self.colors_notes() {
            format!("\u{1b}[{color}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Colours of ANSI.
pub(crate) const RED: u8 = 31;
pub(crate) const GREEN: u8 = 32;

/// Columns side by side, as wide as their widest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count());
        cells.chain(head.get(column).map(|h| h.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<_> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    let lines: Vec<_> = std::iter::once(line(&head)).chain(rows.iter().map(|r| line(r))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["längst".to_owned(), String::new()]];
        assert_eq!(table(&["x", "why"], &rows), "x       why\na       b\nlängst");
    }
}
