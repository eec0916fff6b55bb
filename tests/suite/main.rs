//! The gateway over real sockets, with real components.
//!
//! Each module is one promise. A test starts the gateway of its own folder on free ports, so that tests do not meet.

/// The files of `tests/guests`. One that no test names is dead code, and does not compile.
#[deny(dead_code)]
mod guest {
    include!(concat!(env!("OUT_DIR"), "/guests.rs"));
}

mod common;

mod phases;

mod order;

mod bodies;

mod retry;

mod stops;

mod limits;

mod floods;

mod edits;

mod splitting;

mod one_response;

mod neighbours;

mod gone;

mod sandbox;

mod grants;

mod configure;

mod isolation;

mod capabilities;

mod protocols;

mod observe;

mod usage;

mod events;

mod namespaces;

mod admin;

mod swap;

mod swaps;

mod storm;

mod soak;

mod idle;

mod golden;

mod reload;

mod drain;

mod upgrade;

mod nginx;

mod edges;

mod systemd;

mod rolling;

mod scarce;

mod compile;

mod files;

mod faults;

mod house;

mod maintained;

mod examples;

mod jwt;

mod commands;

mod plugin_commands;

mod quarantine;

mod fallback;

mod stranger;
