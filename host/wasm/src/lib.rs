//! How does a component become a filter?
//!
//! A file is compiled and configured in a child process ([`compile`]), its memory snapshotted after `lifecycle.configure`,
//! and the native code kept in an authenticated [`cache`]. [`Runtime::load`] turns that into a [`WasmFilter`], which gives
//! each request an instance inside limits. Capabilities stand in [`capability`], one file each.
//!
//! This crate alone knows wasmtime. It never opens sockets and never reads the configuration. Start reading at
//! [`Runtime`].

mod runtime;

mod load;

mod filter;

mod instance;

mod indices;

mod pack;

mod convert;

mod stop;

mod state;

mod limiter;

mod time;

mod ticker;

mod debt;

mod capability;

mod wasi;

mod engine;

mod compile;

mod snapshot;

mod inspect;

mod child;

mod cache;

mod bindings;

pub mod fuzz;

pub use child::compile_worker;
pub use filter::{PluginInfo, WasmFilter};
pub use inspect::{Inspection, inspect};
pub use load::LoadError;
pub use runtime::{Compiler, Runtime, RuntimeError, Settings};
