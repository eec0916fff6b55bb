//! What a filter remembers between the phases of one exchange.

use crate::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The state of one exchange: bytes that one phase leaves and the next phases of this filter find, at most 4 KiB.
///
/// It travels with the exchange and never lives in the filter, because the host is free to run the next phase in another
/// instance. Empty state costs nothing.
#[derive(Debug, Default)]
pub struct State {
    came: Vec<u8>,
    left: Option<Vec<u8>>,
}

impl State {
    pub(crate) fn new(came: Vec<u8>) -> Self {
        State { came, left: None }
    }

    /// The present bytes, empty if no phase has set any.
    pub fn bytes(&self) -> &[u8] {
        self.left.as_ref().unwrap_or(&self.came)
    }

    /// Leaves these bytes for the next phases.
    pub fn set(&mut self, bytes: impl Into<Vec<u8>>) {
        self.left = Some(bytes.into());
    }

    /// Leaves a value, as JSON.
    pub fn save<T: Serialize>(&mut self, value: &T) -> Result<()> {
        self.left = Some(serde_json::to_vec(value)?);
        Ok(())
    }

    /// The value that an earlier phase saved; `None` if there is none.
    pub fn load<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        match self.bytes() {
            [] => Ok(None),
            bytes => Ok(Some(serde_json::from_slice(bytes)?)),
        }
    }

    pub(crate) fn into_outcome(self) -> Option<Vec<u8>> {
        self.left
    }
}
