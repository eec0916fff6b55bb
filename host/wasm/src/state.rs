//! What the host keeps beside each instance: the data of its store.

use std::sync::Arc;

use edgewit_chain::{Allowance, Exchange};
use edgewit_model::PluginName;

use crate::{capability::Shared, limiter::Limiter, wasi::Wasi};

/// The data of one store.
pub(crate) struct State {
    /// The exchange of the running call; `None` between calls and while configuring.
    pub(crate) exchange: Option<Box<Exchange>>,
    /// What may still be spent on host calls and log lines; fuel is kept by the store itself.
    pub(crate) allowance: Allowance,
    /// Memory, tables and instances.
    pub(crate) limiter: Limiter,
    /// Whose instance it is.
    pub(crate) plugin: PluginName,
    /// What all instances of the plugin share; `None` while configuring.
    pub(crate) shared: Option<Arc<Shared>>,
    /// Made when the guest first asks for anything of WASI, which most filters never do.
    pub(crate) wasi: Option<Box<Wasi>>,
}

/// A capability was asked for more than it gives; ends the call.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TooMuch(pub(crate) String);

impl State {
    pub(crate) fn new(plugin: PluginName, shared: Option<Arc<Shared>>, limiter: Limiter) -> Self {
        let allowance = Allowance { fuel: 0, host_calls: u32::MAX, log_lines: 0 };
        Self { exchange: None, allowance, limiter, plugin, shared, wasi: None }
    }

    /// Counts one host call.
    pub(crate) fn charge(&mut self) -> wasmtime::Result<()> {
        match self.allowance.host_calls.checked_sub(1) {
            Some(left) => {
                self.allowance.host_calls = left;
                Ok(())
            }
            None => Err(TooMuch("more host calls than `host-calls` allows".to_owned()).into()),
        }
    }
}
