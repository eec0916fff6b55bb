//! What a filter may import beside WASI: one interface of the contract, one file, one line in the table.

mod log;

mod metrics;

pub(crate) mod clock;

pub(crate) mod random;

mod exchange;

mod kv;

mod rate;

mod shared;

use edgewit_model::Grants;
use wasmtime::component::{HasSelf, Linker};

use crate::{bindings::edgewit::filter, state::State};

pub(crate) use log::clean;
pub(crate) use shared::{Registry, Shared};

/// A capability: the interface of its name in `edgewit:filter`.
pub(crate) struct Capability {
    /// Name of the interface and of the grant.
    pub(crate) name: &'static str,
    /// Is it granted?
    pub(crate) is_granted: fn(&Grants) -> bool,
    link: fn(&mut Linker<State>) -> wasmtime::Result<()>,
}

macro_rules! capabilities {
    ($($name:ident)*) => {
        /// All capabilities.
        pub(crate) const TABLE: &[Capability] = &[$(Capability {
            name: stringify!($name),
            is_granted: |grants| grants.$name,
            link: |linker| filter::$name::add_to_linker::<_, HasSelf<_>>(linker, |state| state),
        }),*];
    };
}

capabilities! { log metrics clock random exchange kv rate }

/// Links every capability. Whether a component may have it was decided before: an import without a grant is refused at
/// load.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    filter::types::add_to_linker::<_, HasSelf<_>>(linker, |s| s)?;
    TABLE.iter().try_for_each(|capability| (capability.link)(linker))
}

impl filter::types::Host for State {}

#[cfg(test)]
mod model;
