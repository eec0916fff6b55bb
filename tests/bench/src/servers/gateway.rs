//! The server as a mode of this program, with a small pool.
//!
//! By default the pool reserves 4 TiB of addresses; valgrind has some 30 GiB to give. Everything else is the same.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use edgewit_control::{Compiler, Options, Server, Source};
use tokio::signal::unix::{SignalKind, signal};

use super::local;

/// Serves a configuration until SIGTERM.
pub(crate) fn serve(config: PathBuf) -> Result<()> {
    let options = Options {
        // A child would run outside valgrind, and compile for a processor that has more than valgrind's.
        compiler: Some(Compiler::InProcess),
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
