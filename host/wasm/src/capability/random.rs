//! `random`: values from the operating system's generator.

use crate::{
    bindings::edgewit::filter::random::Host,
    state::{State, TooMuch},
};

/// Bytes of one call.
pub(crate) const MAX_BYTES: u32 = 65_536;

impl Host for State {
    fn number(&mut self) -> wasmtime::Result<u64> {
        self.charge()?;
        getrandom::u64().map_err(|e| wasmtime::Error::msg(e.to_string()))
    }

    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        self.charge()?;
        if length > MAX_BYTES {
            let text = format!("asked for {length} random bytes, at most {MAX_BYTES}");
            return Err(TooMuch(text).into());
        }
        let mut bytes = vec![0; length as usize];
        getrandom::fill(&mut bytes).map_err(|e| wasmtime::Error::msg(e.to_string()))?;
        Ok(bytes)
    }
}
