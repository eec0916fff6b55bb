//! The server as a mode of this program, with a small pool.
//!
//! The pool of the binary reserves 4 TiB of addresses; valgrind has some 30 GiB to give. Everything else is the same.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use edgewit_control::{Compiler, Options, Server, Source};
use tokio::signal::unix::{SignalKind, signal};

use super::local;

/// Filters that may be alive at the same time: 4 GiB of addresses each. One connection needs one.
const INSTANCES: u32 = 4;

/// Serves a configuration until SIGTERM.
pub(crate) fn serve(config: PathBuf) -> Result<()> {
    let options = Options {
        // A child would run outside valgrind, and compile for a processor that has more than valgrind's.
        compiler: Some(Compiler::InProcess),
        instances: Some(INSTANCES),
        ..Options::default()
    };
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
