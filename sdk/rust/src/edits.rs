//! The changes of a header that a phase collects.

use crate::bindings::capabilities::edgewit::filter::types::{Edit, Field};
use crate::value::Value;

/// Edits in their order. They travel in the verdict; until then reading a field through them shows their effect.
#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<Edit>);

impl Edits {
    pub(crate) fn set(&mut self, name: String, value: Vec<u8>) {
        self.0.push(Edit::Set(Field { name, value }));
    }

    pub(crate) fn append(&mut self, name: String, value: Vec<u8>) {
        self.0.push(Edit::Append(Field { name, value }));
    }

    pub(crate) fn remove(&mut self, name: String) {
        self.0.push(Edit::Remove(name));
    }

    pub(crate) fn as_slice(&self) -> &[Edit] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<Edit> {
        self.0
    }

    /// Does any edit concern this field?
    pub(crate) fn touch(&self, name: &str) -> bool {
        self.0.iter().any(|edit| edit.name().eq_ignore_ascii_case(name))
    }

    /// The values of a field after the edits, given those before.
    pub(crate) fn apply<'a>(&'a self, name: &str, mut values: Vec<Value<'a>>) -> Vec<Value<'a>> {
        for edit in self.0.iter().filter(|edit| edit.name().eq_ignore_ascii_case(name)) {
            match edit {
                Edit::Set(field) => values = vec![field.value.as_slice().into()],
                Edit::Append(field) => values.push(field.value.as_slice().into()),
                Edit::Remove(_) => values.clear(),
            }
        }
        values
    }
}

impl Edit {
    /// Replaces every field of that name by this one.
    pub fn set(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Edit::Set(Field { name: name.into(), value: value.into() })
    }

    /// Adds a field and leaves others of that name alone.
    pub fn append(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Edit::Append(Field { name: name.into(), value: value.into() })
    }

    /// Removes every field of that name.
    pub fn remove(name: impl Into<String>) -> Self {
        Edit::Remove(name.into())
    }

    /// The field it concerns.
    pub fn name(&self) -> &str {
        match self {
            Edit::Set(field) | Edit::Append(field) => &field.name,
            Edit::Remove(name) => name,
        }
    }
}
