//! Signals of the system.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a server answers to.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user2: Signal,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGHUP.
    Reload,
    /// SIGTERM.
    Drain,
    /// SIGUSR2: another process takes the place of this one.
    Upgrade,
    /// SIGINT: drain the first time, end at once the second time.
    Interrupt,
}

impl Signals {
    /// From now on these signals come here instead of ending the process.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: take(SignalKind::hangup())?,
            user2: take(SignalKind::user_defined2())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Interrupt,
            _ = self.terminate.recv() => Wish::Drain,
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.user2.recv() => Wish::Upgrade,
        }
    }
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn end() -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    while matches!(signals.next().await, Wish::Reload | Wish::Upgrade) {}
    Ok(())
}
