//! What is written in an entry and where, as bytes: equal bytes, equal entries.

use std::ops::Range;

use toml::de::DeValue;

use crate::tree::{Item, Node};

/// All values of an entry with their places relative to its start.
#[derive(Debug, Default)]
pub(super) struct Fingerprint {
    bytes: Vec<u8>,
    whole: bool,
}

impl Fingerprint {
    /// Takes that of another entry.
    pub(super) fn take(&mut self, item: &Item<'_>) {
        self.bytes.clear();
        self.whole = true;
        self.span(&item.key, item.start());
        self.node(&item.value, item.start());
    }

    /// `None`: a part of the entry is written before its start.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.whole.then_some(&self.bytes)
    }

    /// Is it that of an entry that is written in the same way?
    pub(super) fn is(&self, other: &[u8]) -> bool {
        self.whole && self.bytes == other
    }

    fn node(&mut self, node: &Node<'_>, origin: usize) {
        self.span(&node.span(), origin);
        match node.get_ref() {
            DeValue::String(text) => self.text(b's', text),
            DeValue::Integer(number) => {
                self.number(number.radix() as usize);
                self.text(b'i', number.as_str());
            }
            DeValue::Float(number) => self.text(b'f', number.as_str()),
            DeValue::Boolean(value) => self.bytes.push(if *value { b'y' } else { b'n' }),
            DeValue::Datetime(time) => self.text(b'd', &time.to_string()),
            DeValue::Array(items) => {
                self.bytes.push(b'a');
                self.number(items.len());
                items.iter().for_each(|item| self.node(item, origin));
            }
            DeValue::Table(table) => {
                self.bytes.push(b't');
                self.number(table.len());
                for (key, value) in table {
                    self.span(&key.span(), origin);
                    self.text(b'k', key.get_ref());
                    self.node(value, origin);
                }
            }
        }
    }

    fn text(&mut self, kind: u8, text: &str) {
        self.bytes.push(kind);
        self.number(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn span(&mut self, span: &Range<usize>, origin: usize) {
        for at in [span.start, span.end] {
            match at.checked_sub(origin) {
                Some(distance) => self.number(distance),
                None => self.whole = false,
            }
        }
    }

    /// Those beyond four bytes do not come up in files of a bearable size.
    fn number(&mut self, number: usize) {
        match u32::try_from(number) {
            Ok(number) => self.bytes.extend_from_slice(&number.to_le_bytes()),
            Err(_) => self.whole = false,
        }
    }
}
