//! The values that a filter declared in `needs`, packed into two lists.

use edgewit_chain::{Exchange, Fact, Needs};
use http::{HeaderMap, HeaderName};

use crate::bindings::edgewit::filter::types::{Entry, Head};

/// Slot of a field that was not declared by name.
const UNDECLARED: u16 = 0xffff;
/// Slot of the fact with number 0.
const FIRST_FACT: u16 = 0x8000;

/// Facts and request fields.
pub(crate) fn request(exchange: &Exchange, needs: &Needs) -> Head {
    let mut packer = Packer::default();
    packer.facts(exchange, needs);
    packer.fields(&exchange.fields, &needs.request_fields, needs.all_request_fields);
    packer.finish()
}

/// Response fields; empty if there is no response.
pub(crate) fn response(exchange: &Exchange, needs: &Needs) -> Head {
    let mut packer = Packer::default();
    if let Some(head) = &exchange.response {
        packer.fields(&head.fields, &needs.response_fields, needs.all_response_fields);
    }
    packer.finish()
}

#[derive(Default)]
struct Packer {
    bytes: Vec<u8>,
    index: Vec<Entry>,
}

impl Packer {
    fn facts(&mut self, exchange: &Exchange, needs: &Needs) {
        if needs.facts.0 == 0 {
            return;
        }
        for fact in Fact::ALL.into_iter().filter(|f| needs.facts.has(*f)) {
            if let Some(value) = exchange.fact(fact) {
                self.push(FIRST_FACT + fact as u16, "", value.as_bytes());
            }
        }
    }

    fn fields(&mut self, fields: &HeaderMap, declared: &[HeaderName], all: bool) {
        for (slot, name) in declared.iter().enumerate() {
            let slot = u16::try_from(slot).unwrap_or(UNDECLARED);
            for value in fields.get_all(name) {
                self.push(slot, "", value.as_bytes());
            }
        }
        if all {
            for (name, value) in fields.iter().filter(|(name, _)| !declared.contains(name)) {
                self.push(UNDECLARED, name.as_str(), value.as_bytes());
            }
        }
    }

    /// A head is bounded by the listener's `header-bytes`, so that lengths fit 32 bits.
    fn push(&mut self, slot: u16, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name_end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(value);
        let value_end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.index.push(Entry { slot, name_end, value_end });
    }

    fn finish(self) -> Head {
        Head { bytes: self.bytes, index: self.index }
    }
}
