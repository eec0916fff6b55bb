//! Starts the process that takes the place of this one (SIGUSR2).
//!
//! It gets the listening sockets, so that no connection is refused or lost between the two, and has to say that it serves.
//! If it does not, it is ended, and this process goes on as if nothing had been.

use std::{
    ffi::OsString,
    io::{self, pipe},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use command_fds::{CommandFdExt as _, FdMapping};
use tokio::{io::AsyncReadExt as _, net::unix::pipe::Receiver, time::timeout};

use crate::handover::{FIRST, Handed, READY, variable};

/// How this process was started, so that its successor is started alike.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    /// As it was called: a name to be looked up, or a path. A link in it may point to another version by now.
    program: OsString,
    arguments: Vec<OsString>,
}

impl Origins {
    /// Of this process.
    pub(crate) fn of_this_process() -> Self {
        let mut words = std::env::args_os();
        let program = words.next().unwrap_or_else(|| "edgewit".into());
        Self { program, arguments: words.collect() }
    }

    /// Starts another process with these sockets and waits until it serves. Gives its process id.
    pub(crate) async fn start(
        self,
        mut sockets: Vec<Handed>,
        limit: Duration,
    ) -> anyhow::Result<u32> {
        let (way_back, writer) = pipe()?;
        sockets.push(Handed::WayBack(writer.into()));
        let mut starting = Starting(Some(self.spawn(sockets)?));
        let mut way_back = Receiver::from_owned_fd(way_back.into())?;
        match timeout(limit, hear(&mut way_back)).await {
            Ok(Ok(said)) if said == READY => starting.serves().context("there is no new process"),
            Ok(Ok(_)) => bail!("the new process ended before it served; its log says why"),
            Ok(Err(error)) => Err(error).context("the new process cannot be heard"),
            Err(_) => bail!("the new process did not serve within {limit:?}"),
        }
    }

    fn spawn(&self, sockets: Vec<Handed>) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        let (name, value) = variable(&sockets);
        command.args(&self.arguments).env(name, value).stdin(Stdio::null());
        // What systemd has passed is handed over; its names and process id are those of this process.
        for of_systemd in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            command.env_remove(of_systemd);
        }
        let mapping =
            |(child_fd, handed): (_, Handed)| FdMapping { parent_fd: handed.into_fd(), child_fd };
        command.fd_mappings((FIRST..).zip(sockets).map(mapping).collect())?;
        let program = self.program.to_string_lossy();
        command.spawn().with_context(|| format!("`{program}` cannot be started"))
    }
}

/// What is said: the word that matters, or less if the other side has ended.
async fn hear(way_back: &mut Receiver) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    while said.len() < READY.len() && way_back.read_buf(&mut said).await? > 0 {}
    Ok(said)
}

/// A process that does not serve yet. Dropping it ends it.
struct Starting(Option<Child>);

impl Starting {
    /// It does now, and lives on without us.
    fn serves(&mut self) -> Option<u32> {
        self.0.take().map(|child| child.id())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill(); // it may have ended
            let _ = child.wait();
        }
    }
}
