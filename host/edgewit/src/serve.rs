//! What a running server does when signals come: reload, make room for another process, end.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use edgewit_control::Running;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    handover::{Handed, Predecessor},
    signals::{Signals, Wish},
    successor::Origins,
    systemd,
};

/// Ended by a second SIGINT, as a shell would say it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whoever waits for the start learns that it has succeeded.
pub(crate) fn tell_ready(predecessor: Option<Predecessor>) -> anyhow::Result<()> {
    match predecessor {
        Some(predecessor) => predecessor.serves().context("the old process is gone"),
        None => {
            systemd::ready();
            Ok(())
        }
    }
}

/// Serves until a signal ends it, or another process does in its place. `reload_wanted`: notified if a reload was wanted
/// before it served.
pub(crate) async fn serve(
    running: &Arc<Running>,
    signals: &mut Signals,
    origins: Option<&Origins>,
    reload_wanted: Arc<Notify>,
) -> ExitCode {
    let reloads = tokio::spawn(reload(Arc::clone(running), Arc::clone(&reload_wanted)));
    let end = until_the_end(running, signals, origins, &reload_wanted).await;
    reloads.abort();
    systemd::stopping_unless(end == End::Replaced);
    let finish = async {
        match end {
            End::Replaced => running.step_down().await,
            End::Wanted => running.drain().await,
        }
    };
    tokio::pin!(finish);
    loop {
        tokio::select! {
            open = &mut finish => {
                match open {
                    0 => tracing::info!("every connection is finished, good bye"),
                    open => tracing::warn!(open, "the time is over, connections are cut"),
                }
                return ExitCode::SUCCESS;
            }
            wish = signals.next() => {
                if wish == Wish::Interrupt {
                    return ExitCode::from(INTERRUPTED);
                }
            }
        }
    }
}

/// Why it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Somebody wants it to.
    Wanted,
    /// Another process serves in its place.
    Replaced,
}

/// Serves, and does what signals want, until one of them ends it.
async fn until_the_end(
    running: &Arc<Running>,
    signals: &mut Signals,
    origins: Option<&Origins>,
    reload_wanted: &Notify,
) -> End {
    let mut upgrade: Option<Upgrade> = None;
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Reload => reload_wanted.notify_one(),
                Wish::Upgrade if upgrade.is_some() => tracing::warn!("an upgrade is under way"),
                Wish::Upgrade => upgrade = Upgrade::begin(running, origins),
                Wish::Drain | Wish::Interrupt => return End::Wanted,
            },
            replaced = Upgrade::outcome(&mut upgrade) => {
                upgrade = None;
                if tell_upgrade(running, replaced) {
                    return End::Replaced;
                }
            }
        }
    }
}

/// Another process that is being started. Dropping it ends that process.
struct Upgrade(JoinHandle<anyhow::Result<u32>>);

impl Upgrade {
    fn begin(running: &Running, origins: Option<&Origins>) -> Option<Self> {
        tracing::info!("upgrade: starting the process that shall take this one's place");
        let start = sockets(running).and_then(|sockets| {
            let why = "a configuration from standard input cannot be read by another process";
            let origins = origins.cloned().context(why)?;
            Ok(origins.start(sockets, running.upgrade_timeout()))
        });
        match start {
            Ok(start) => Some(Self(tokio::spawn(start))),
            Err(error) => {
                tell_upgrade(running, Err(error));
                None
            }
        }
    }

    /// The process id of the one that serves now; waits for ever without an upgrade.
    async fn outcome(upgrade: &mut Option<Self>) -> anyhow::Result<u32> {
        match upgrade {
            Some(Self(start)) => start.await.context("an upgrade has met a fault")?,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn sockets(running: &Running) -> anyhow::Result<Vec<Handed>> {
    let mut sockets: Vec<_> = running.sockets()?.into_iter().map(Handed::Listener).collect();
    sockets.extend(running.admin_socket()?.map(|socket| Handed::Admin(socket.into())));
    Ok(sockets)
}

/// Whether this process has been replaced.
fn tell_upgrade(running: &Running, replaced: anyhow::Result<u32>) -> bool {
    match replaced {
        Ok(pid) => {
            tracing::info!(pid, "upgrade: the new process serves, this one finishes what it has");
            systemd::replaced_by(pid);
            true
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "the upgrade has failed, this process serves on");
            running.tell_upgrade(&format!("failed: {error}"));
            false
        }
    }
}

/// Reloads beside the signals, so that none has to wait. Several wishes during one reload are one more.
async fn reload(running: Arc<Running>, wanted: Arc<Notify>) {
    loop {
        wanted.notified().await;
        systemd::reloading();
        drop(running.reload().await); // the log tells what came of it
        systemd::ready();
    }
}
