//! What does a test over real sockets need?
//!
//! A [`Setup`] is a folder with a configuration and plugins. Started, it is a [`Gateway`]: the real program in a process
//! of its own, on free ports, killed when the test ends. In front of it are clients ([`Connection`], [`Raw`], [`Load`]),
//! behind it are [`Origin`]s in the test's own process. Components come from [`artifact`], built from source.
//!
//! Functions block the thread of the test; sockets are driven by two threads of the harness. Nothing waits without a
//! deadline, and nothing sleeps where it could look. This crate never looks into the host: it knows its command line, its
//! files and its sockets. Start reading at [`Setup`].

pub mod setup;

pub mod gateway;

pub mod program;

pub mod artifact;

pub mod cargo;

pub mod ask;

pub mod reply;

pub mod connection;

pub mod load;

pub mod raw;

pub mod origin;

pub mod script;

pub mod nginx;

pub mod certs;

pub mod metrics;

pub mod lines;

pub mod wait;

pub mod component;

pub use ask::{Ask, ask, get, post};
pub use certs::Certs;
pub use connection::{Connection, Protocol};
pub use gateway::Gateway;
pub use lines::Lines;
pub use load::{Load, Loaded};
pub use metrics::Metrics;
pub use nginx::Nginx;
pub use origin::{Origin, Seen};
pub use program::Outcome;
pub use raw::Raw;
pub use reply::Reply;
pub use script::Script;
pub use setup::{NO_HURRY, Setup};
pub use wait::{DEADLINE, block_on, spawn, until, until_or_tell};
