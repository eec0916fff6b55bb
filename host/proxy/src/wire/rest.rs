//! A connection of HTTP/1 between requests.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::{Protocol, Tcp, Wire};

/// A connection without a request for so long rests: it gives its parser back, with the buffers of that.
const REST: Duration = Duration::from_secs(5);

impl<S: Tcp> Wire<S> {
    /// Whether the parser can be given back, because nothing is with it: each head that it got is a request that has been
    /// answered, all of that has gone out, and of the next message nothing has come.
    pub(crate) fn may_rest(&self, now: Instant) -> bool {
        let activity = &self.connection.activity;
        let Protocol::Http1(intake) = &self.protocol else { return false };
        activity.in_flight.get() == 0
            && now >= activity.idle_since.get() + REST
            && activity.requests.get() > 0
            && activity.requests.get() == intake.heads()
            && intake.is_between_messages()
            && !activity.is_blocked.get()
    }

    /// When to look next whether it can be given back; `None` if it can, or never will.
    pub(super) fn rest_at(&self, now: Instant) -> Option<Instant> {
        if !matches!(self.protocol, Protocol::Http1(_)) || self.may_rest(now) {
            return None;
        }
        let activity = &self.connection.activity;
        let since = if activity.in_flight.get() == 0 { activity.idle_since.get() } else { now };
        Some(since + REST).filter(|at| *at > now).or(Some(now + REST))
    }

    /// Returns when a parser is needed again: something came, or it is time to end.
    pub(crate) async fn rested(&mut self) {
        poll_fn(|cx| self.poll_rested(cx)).await;
    }

    fn poll_rested(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is for whoever reads.
        match self.stream.tcp().poll_read_ready(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => self.poll_overdue(cx).map(|_| ()),
        }
    }
}
