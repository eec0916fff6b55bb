//! Tells systemd how things are (sd_notify(3)). Without systemd all of this does nothing.

use std::time::Duration;

use sd_notify::{NotifyState, notify};

/// It serves.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration anew; [`ready`] ends that.
pub(crate) fn reloading() {
    let Ok(now) = NotifyState::monotonic_usec_now() else { return };
    tell(&[NotifyState::Reloading, now]);
}

/// It takes no more traffic; if another process serves in its place, the service goes on.
pub(crate) fn stopping_unless(replaced: bool) {
    if !replaced {
        tell(&[NotifyState::Stopping]);
    }
}

/// Another process is the service from now on.
pub(crate) fn replaced_by(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// Says that it is alive, as often as systemd wants to hear it; never returns. Not heard from in time, the process is killed:
/// so this runs on the event loop that also answers signals.
pub(crate) async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
