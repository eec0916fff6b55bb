//! What the host keeps beside each instance: the data of its store.

use std::{sync::Arc, time::Duration};

use edgewit_chain::{Allowance, Exchange, Prints};
use edgewit_model::{PluginLimits, PluginName};

use crate::{
    capability::Shared,
    limiter::Limiter,
    time::CallTime,
    wasi::{PRINTS, Wasi},
};

/// The data of one store.
pub(crate) struct State {
    /// The exchange of the running call; `None` between calls and while configuring.
    pub(crate) exchange: Option<Box<Exchange>>,
    /// What may still be spent on host calls and log lines; fuel is kept by the store itself, and prints by `wasi`, once it
    /// is there.
    pub(crate) allowance: Allowance,
    /// Memory, tables and instances.
    pub(crate) limiter: Limiter,
    /// How long the running call may compute.
    pub(crate) time: CallTime,
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
    /// The allowance of a call replaces what is allowed here: what may be spent while instantiating and configuring.
    pub(crate) fn new(
        plugin: PluginName,
        shared: Option<Arc<Shared>>,
        limits: &PluginLimits,
    ) -> Self {
        let limiter = Limiter::new(limits);
        let allowance =
            Allowance { fuel: 0, host_calls: limits.host_calls, log_lines: 0, prints: PRINTS };
        let time = CallTime::new(Duration::ZERO);
        Self { exchange: None, allowance, limiter, time, plugin, shared, wasi: None }
    }

    /// What the running call may spend.
    pub(crate) fn allow(&mut self, allowance: Allowance) {
        self.allowance = allowance;
        if let Some(wasi) = &self.wasi {
            wasi.allow(allowance.prints);
        }
    }

    /// What may still be printed.
    pub(crate) fn prints_left(&self) -> Prints {
        self.wasi.as_ref().map_or(self.allowance.prints, |wasi| wasi.prints_left())
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
