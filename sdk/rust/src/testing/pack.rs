//! Packs a head as the host does.

use crate::bindings::capabilities::edgewit::filter::types::{Entry, Fact, Head};
use crate::needs::Needs;

const NAMED: u16 = 0xffff;

/// What there is to see.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pub(super) facts: Vec<(Fact, String)>,
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

impl Scene {
    pub(super) fn pack_request(&self, needs: &Needs) -> Head {
        let mut head = self.pack(|name| needs.request_slot(name), needs.all_request_fields());
        for (fact, value) in &self.facts {
            if let Some(slot) = needs.fact_slot(*fact) {
                push(&mut head, slot, "", value.as_bytes());
            }
        }
        head
    }

    pub(super) fn pack_response(&self, needs: &Needs) -> Head {
        self.pack(|name| needs.response_slot(name), needs.all_response_fields())
    }

    fn pack(&self, slot_of: impl Fn(&str) -> Option<u16>, all: bool) -> Head {
        let mut head = Head { bytes: Vec::new(), index: Vec::new() };
        for (name, value) in &self.fields {
            match slot_of(name) {
                Some(slot) => push(&mut head, slot, "", value),
                None if all => push(&mut head, NAMED, name, value),
                None => {}
            }
        }
        head
    }
}

fn push(head: &mut Head, slot: u16, name: &str, value: &[u8]) {
    head.bytes.extend_from_slice(name.as_bytes());
    let name_end = head.bytes.len() as u32;
    head.bytes.extend_from_slice(value);
    head.index.push(Entry { slot, name_end, value_end: head.bytes.len() as u32 });
}
