//! How long a slow peer is waited for.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// How long a slow peer is waited for: a time without any progress, and on average a rate.
///
/// Only waiting counts. Each byte that moves gives some of the patience back, so that a peer that moves one byte before
/// each deadline does not hold a connection forever.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    rate: Option<u32>,
    left: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// `limit`: the longest time without progress. `rate`: bytes a second on average, `None`: any.
    pub(crate) fn new(limit: Duration, rate: Option<u32>) -> Self {
        Self { limit, rate, left: limit, since: None, timer: None }
    }

    /// The peer moved this many bytes.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let Some(since) = self.since.take() else { return };
        let Some(rate) = self.rate else { return };
        // Had the peer been waited for that long, patience would have ended; it was we who did not look.
        let spent = self.left.checked_sub(since.elapsed()).unwrap_or(self.left);
        let seconds = bytes as f64 / f64::from(rate.max(1));
        let earned = Duration::try_from_secs_f64(seconds).unwrap_or(self.limit);
        self.left = spent.saturating_add(earned).min(self.limit);
    }

    /// The peer does not move. Ready: it was too slow.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begins = self.since.is_none();
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = since + self.left;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if begins {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    async fn over(patience: &mut Patience, within: Duration) -> bool {
        timeout(within, poll_fn(|cx| patience.poll_over(cx))).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_without_progress() {
        let mut patience = Patience::new(Duration::from_secs(30), None);
        assert!(!over(&mut patience, Duration::from_secs(29)).await);
        patience.moved(1);
        assert!(!over(&mut patience, Duration::from_secs(29)).await, "any progress counts");
        assert!(over(&mut patience, Duration::from_secs(2)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_uses_patience_up() {
        let mut patience = Patience::new(Duration::from_secs(30), Some(240));
        assert!(!over(&mut patience, Duration::from_secs(29)).await);
        patience.moved(1);
        assert!(over(&mut patience, Duration::from_secs(2)).await);
        let mut patience = Patience::new(Duration::from_secs(30), Some(240));
        for _ in 0..100 {
            assert!(!over(&mut patience, Duration::from_secs(10)).await);
            patience.moved(2_400);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_is_not_waited_does_not_count() {
        let mut patience = Patience::new(Duration::from_secs(30), Some(240));
        for _ in 0..10 {
            assert!(!over(&mut patience, Duration::from_secs(1)).await);
            patience.moved(0);
            advance(Duration::from_secs(60)).await;
        }
        assert!(!over(&mut patience, Duration::from_secs(1)).await);
        advance(Duration::from_secs(60)).await;
        patience.moved(0);
        assert!(!over(&mut patience, Duration::from_secs(1)).await);
    }
}
