//! The server as a mode of this program, with a small pool.
//!
//! The pool of the binary reserves 4 TiB of addresses; valgrind has some 30 GiB to give. Everything else is the same.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, anyhow};
use edgewit_control::{Compiler, Options, Server, Source};
use tokio::signal::unix::{SignalKind, signal};

use super::local;

/// Filters that may be alive at the same time: 4 GiB of addresses each. One connection needs one.
const INSTANCES: u32 = 4;
/// The subcommand that compiles a component.
const WORKER: &str = "compile-worker";

/// Serves a configuration until SIGTERM.
pub(crate) fn serve(config: PathBuf) -> Result<()> {
    let compiler = Compiler::Child { program: std::env::current_exe()?, args: vec![WORKER.into()] };
    let options =
        Options { compiler: Some(compiler), instances: Some(INSTANCES), ..Options::default() };
    local(async {
        let server = Server::load(Source::File(config), options);
        let server = server.map_err(|report| anyhow!("{report:?}"))?;
        let mut end = signal(SignalKind::terminate())?;
        let running = server.start(None).await?;
        end.recv().await;
        running.drain().await;
        Ok(())
    })
}

/// Compiles a component for the server.
pub(crate) fn compile() -> Result<()> {
    match edgewit_control::compile_worker() {
        ExitCode::SUCCESS => Ok(()),
        _ => Err(anyhow!("the component was not compiled")),
    }
}
