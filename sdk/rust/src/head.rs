//! The packed values that a phase receives.

use crate::bindings::capabilities::edgewit::filter::types;
use crate::value::Value;

/// Slot of a field that was not declared by name but by `*`; its name is in the bytes.
const NAMED: u16 = 0xffff;

/// Values in one run of bytes, found by slot. Looking one up is a walk over a few entries without allocation.
#[derive(Debug)]
pub(crate) struct Head(types::Head);

impl Head {
    pub(crate) fn new(head: types::Head) -> Self {
        Head(head)
    }

    /// The values of one slot, in their order.
    pub(crate) fn values(&self, slot: u16) -> impl Iterator<Item = Value<'_>> {
        self.entries().filter(move |entry| entry.slot == slot).map(|entry| entry.value.into())
    }

    /// The fields that only `*` declares, with their names in lower case.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.entries()
            .filter(|entry| entry.slot == NAMED)
            .map(|entry| (std::str::from_utf8(entry.name).unwrap_or_default(), entry.value.into()))
    }

    /// The position of an entry outside the bytes reads as empty, so that this code has no way to panic.
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut start = 0;
        self.0.index.iter().map(move |entry| {
            let (name_end, value_end) = (entry.name_end as usize, entry.value_end as usize);
            let name = self.0.bytes.get(start..name_end).unwrap_or_default();
            let value = self.0.bytes.get(name_end..value_end).unwrap_or_default();
            start = value_end;
            Entry { slot: entry.slot, name, value }
        })
    }
}

struct Entry<'a> {
    slot: u16,
    name: &'a [u8],
    value: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Entry as Packed;

    fn head() -> Head {
        Head(types::Head {
            bytes: b"onetwox-otherthree/path".to_vec(),
            index: vec![
                Packed { slot: 0, name_end: 0, value_end: 3 },
                Packed { slot: 0, name_end: 3, value_end: 6 },
                Packed { slot: NAMED, name_end: 13, value_end: 18 },
                Packed { slot: 0x8003, name_end: 18, value_end: 23 },
            ],
        })
    }

    #[test]
    fn values_are_found_by_slot_in_their_order() {
        assert_eq!(head().values(0).collect::<Vec<_>>(), [&b"one"[..], b"two"].map(Value::from));
        assert!(head().values(0x8003).next().unwrap() == "/path");
        assert!(head().values(1).next().is_none());
    }

    #[test]
    fn undeclared_fields_carry_their_names() {
        let head = head();
        let (name, value) = head.others().next().unwrap();
        assert_eq!(name, "x-other");
        assert!(value == "three");
    }

    #[test]
    fn an_index_outside_the_bytes_reads_as_empty() {
        let head = Head(types::Head {
            bytes: vec![1],
            index: vec![Packed { slot: 0, name_end: 7, value_end: 3 }],
        });
        assert!(head.values(0).next().unwrap().is_empty());
    }
}
