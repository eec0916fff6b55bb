//! How long an attempt may take.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::body::Watch;

/// How long an attempt may take until its response head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// In all.
    pub(super) deadline: Option<Instant>,
    /// From the end of the request, which is that of its body: a long upload is no slow upstream. The first part is when
    /// the attempt began.
    pub(super) first_byte: Option<(Instant, Duration)>,
}

impl Bounds {
    /// Waits for an answer; `None` if it does not come in time. One timer in all: it is set for the first moment at which
    /// time could be over, and looks then whether it is.
    pub(super) async fn keep<T>(
        self,
        answer: impl Future<Output = T>,
        upload: Option<&Watch>,
    ) -> Option<T> {
        let first = self.first_byte.map(|(began, limit)| began + limit);
        let Some(mut until) = earlier(self.deadline, first) else { return Some(answer.await) };
        let mut answer = pin!(answer);
        loop {
            match timeout_at(until, answer.as_mut()).await {
                Ok(answer) => return Some(answer),
                Err(_) => until = self.later(Instant::now(), upload)?,
            }
        }
    }

    /// Until when to wait further, if at all.
    fn later(&self, now: Instant, upload: Option<&Watch>) -> Option<Instant> {
        let (_, limit) = self.first_byte?;
        let sent = upload?.ended().unwrap_or(now);
        earlier(self.deadline, Some(sent + limit)).filter(|until| *until > now)
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn waited(deadline: Option<u32>, first_byte: Option<u32>, upload: Option<&Watch>) -> u64 {
        let now = Instant::now();
        let bounds = Bounds {
            deadline: deadline.map(|after| now + SECOND * after),
            first_byte: first_byte.map(|limit| (now, SECOND * limit)),
        };
        assert_eq!(bounds.keep(pending::<()>(), upload).await, None);
        now.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_is_waited_for_from_the_end_of_the_request() {
        assert_eq!(waited(Some(30), None, None).await, 30);
        assert_eq!(waited(None, Some(15), None).await, 15);
        assert_eq!(waited(Some(30), Some(15), None).await, 15);
        assert_eq!(waited(Some(10), Some(15), None).await, 10);
        let running = Watch::default();
        assert_eq!(waited(Some(100), Some(15), Some(&running)).await, 100);
        let ends = Watch::default();
        let end = async {
            sleep(SECOND * 20).await;
            ends.end();
            pending::<()>().await;
        };
        tokio::select! {
            () = end => unreachable!(),
            after = waited(Some(100), Some(15), Some(&ends)) => assert_eq!(after, 35),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_an_answer() {
        let bounds = Bounds { deadline: None, first_byte: Some((Instant::now(), SECOND)) };
        assert_eq!(bounds.keep(async { 7 }, None).await, Some(7));
        let none = Bounds { deadline: None, first_byte: None };
        assert_eq!(none.keep(sleep(SECOND * 1_000), None).await, Some(()));
    }
}
