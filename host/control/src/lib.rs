//! How does a change become live?
//!
//! Two things change: the configuration (`source`, `diff`) and the files of plugins (`watch`, `file`). Both are loaded aside
//! (`stock`, `prepare`), put together with everything that did not change (`assemble`), and made live by one swap of the
//! proxy's snapshot (`live`). All of it or nothing: on any error the old generation serves on, and log, metrics, `status`
//! and `versions` say why.
//!
//! This crate never looks into a request. It does not parse TOML (`edgewit-config` does) and does not know wasmtime
//! (`edgewit-wasm` does); the tools of the command line that need either go through here. Start reading at [`Server`].

mod server;

mod source;

mod live;

mod stock;

mod prepare;

mod assemble;

mod diff;

mod folder;

mod cache_dir;

mod file;

mod watch;

mod watchman;

mod probation;

mod versions;

mod status;

mod events;

mod news;

mod stops;

mod health;

mod usage;

mod summary;

mod gauges;

mod certificates;

mod admin;

mod check;

mod inspect;

mod package;

pub mod trial;

mod problem;

mod digest;

mod time;

mod error;

pub use check::{CheckError, Checked, check};
pub use digest::Digest;
pub use events::Event;
pub use file::FileError;
pub use inspect::{Inspected, inspect};
pub use live::{ChangeError, Changed, StartError};
pub use package::{Package, PackageError, package};
pub use problem::{Cause, Problem};
pub use server::{Options, Running, Server};
pub use source::{Overrides, Source};
pub use status::{Counts, Reload, Status, StatusView};
pub use summary::Summary;
pub use time::Timestamp;
pub use usage::LimitsView;
pub use versions::{Refusal, State, Version, Versions};

// What the command line needs of the proxy and of the engine.
pub use edgewit_proxy::Adopted;
pub use edgewit_wasm::{Compiler, Inspection, LoadError, PluginInfo, compile_worker};
