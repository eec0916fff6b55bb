//! How long nothing may happen.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// How long nothing may happen. The timer is moved only when it has run out, not with every byte.
#[derive(Debug)]
pub(super) struct Quiet {
    limit: Duration,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Quiet {
    pub(super) fn new(limit: Duration) -> Self {
        let since = Instant::now();
        Self { limit, since, timer: Box::pin(sleep_until(since + limit)) }
    }

    /// From now on no longer than this.
    pub(super) fn shorten(&mut self, limit: Duration) {
        if limit < self.limit {
            self.limit = limit;
            self.since = Instant::now();
            self.timer.as_mut().reset(self.since + limit);
        }
    }

    /// Ready: it was quiet for too long. `moved`: it was not, since the last time.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<()> {
        if moved {
            self.since = Instant::now();
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let deadline = self.since + self.limit;
            if deadline <= self.timer.deadline() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    async fn is_over(quiet: &mut Quiet, moved: bool, within: Duration) -> bool {
        let mut moved = moved;
        let over = poll_fn(|cx| quiet.poll_over(cx, std::mem::take(&mut moved)));
        timeout(within, over).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn only_silence_ends_it() {
        let mut quiet = Quiet::new(MINUTE * 10);
        for _ in 0..10 {
            advance(MINUTE * 9).await;
            assert!(!is_over(&mut quiet, true, MINUTE).await);
        }
        assert!(is_over(&mut quiet, false, MINUTE * 10).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_word_shortens_the_wait() {
        let mut quiet = Quiet::new(MINUTE * 10);
        advance(MINUTE * 5).await;
        quiet.shorten(MINUTE);
        assert!(!is_over(&mut quiet, false, MINUTE / 2).await);
        quiet.shorten(MINUTE);
        assert!(is_over(&mut quiet, false, MINUTE).await);
    }
}
