//! Who watches events as they happen: `/v1/events` as server-sent events.
//!
//! A viewer gets what is remembered after the event that it names, then each as it happens. Its connection holds two
//! pieces at most; whoever does not take one for a while is cut, so that it costs no place for ever.

use std::{
    convert::Infallible,
    fmt::Write,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use edgewit_telemetry::{Counter, Metrics, families};
use http::{HeaderMap, StatusCode, header::ACCEPT};
use hyper::body::{Body, Frame};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::page::Problem;
use crate::{
    events::{After, Events},
    status::Status,
};

/// Viewers at the same time, so that most connections stay for those who ask.
const MOST_VIEWERS: usize = 16;
/// Until a viewer has taken a piece. What the kernel keeps for it comes on top.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two signs of life, which find connections that nobody has closed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events in one piece.
const PIECE: usize = 16;

/// Everybody who watches.
pub(super) struct Viewers {
    status: Arc<Status>,
    room: Arc<Semaphore>,
    patience: Duration,
    unseen: Counter,
}

/// What a viewer gets, as the body of a response.
#[derive(Debug)]
pub(super) struct EventStream {
    pieces: mpsc::Receiver<Bytes>,
}

/// Ends the connection of a request, even while nothing can be written to it.
pub(super) type Cut = Arc<Notify>;

impl Viewers {
    pub(super) fn new(status: &Arc<Status>, metrics: &Metrics, patience: Duration) -> Self {
        Self {
            status: Arc::clone(status),
            room: Arc::new(Semaphore::new(MOST_VIEWERS)),
            patience,
            unseen: metrics.counter(&families::EVENTS_DROPPED, &[("reason", "slow")]),
        }
    }

    /// Does a request want to watch, rather than a list?
    pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
        let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = accepts.flat_map(|value| value.split(','));
        types.any(|kind| kind.split(';').next().is_some_and(|k| k.trim() == "text/event-stream"))
    }

    /// Another viewer, which is cut from its connection if it is too slow.
    pub(super) fn open(&self, headers: &HeaderMap, cut: Cut) -> Result<EventStream, Problem> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            let detail = format!("{MOST_VIEWERS} viewers are the most at the same time");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })?;
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
        let (sender, pieces) = mpsc::channel(1);
        let viewer = Viewer {
            status: Arc::clone(&self.status),
            last: last.unwrap_or(0),
            sender,
            patience: self.patience,
            unseen: self.unseen.clone(),
            cut,
            _room: room,
        };
        tokio::spawn(viewer.follow());
        Ok(EventStream { pieces })
    }
}

/// One who watches.
struct Viewer {
    status: Arc<Status>,
    /// The last event that it was sent.
    last: u64,
    sender: mpsc::Sender<Bytes>,
    patience: Duration,
    unseen: Counter,
    cut: Cut,
    _room: OwnedSemaphorePermit,
}

impl Viewer {
    /// Sends events until the connection is gone or the viewer is cut.
    async fn follow(mut self) {
        let mut bell = self.status.events().bell();
        loop {
            bell.borrow_and_update();
            let piece = match self.next_piece() {
                Some(piece) => piece,
                None => tokio::select! {
                    _ = bell.changed() => continue,
                    () = tokio::time::sleep(HEARTBEAT) => Bytes::from_static(b":\n\n"),
                    () = self.sender.closed() => return,
                },
            };
            match tokio::time::timeout(self.patience, self.sender.send(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return, // it has gone
                Err(_) => return self.give_up(),
            }
        }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let After { missed, events } = self.status.events().after(self.last, PIECE);
        let mut piece = String::new();
        if missed > 0 {
            let _ = write!(piece, "data: {{\"kind\":\"missed\",\"missed\":{missed}}}\n\n");
        }
        for event in &events {
            self.last = event.id;
            if let Ok(json) = serde_json::to_string(event) {
                let _ = write!(piece, "id: {}\ndata: {json}\n\n", event.id);
            }
        }
        (!piece.is_empty()).then(|| piece.into())
    }

    fn give_up(self) {
        let events: &Events = self.status.events();
        let unseen = events.bell().borrow().saturating_sub(self.last);
        self.unseen.add(unseen.max(1));
        tracing::info!(unseen, "a viewer of events was too slow and is cut");
        self.cut.notify_one();
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn watching_is_asked_for_by_type() {
        let cases = [
            ("text/event-stream", true),
            ("application/json, text/event-stream;q=0.5", true),
            ("application/json", false),
            ("*/*", false),
            ("", false),
        ];
        for (accept, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Viewers::is_wanted(&headers), expected, "{accept}");
        }
        assert!(!Viewers::is_wanted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn viewers_are_bounded_and_give_their_places_back() {
        let metrics = Metrics::new(1);
        let status = Arc::new(Status::new(None, &metrics));
        let viewers = Viewers::new(&status, &metrics, PATIENCE);
        let open = || viewers.open(&HeaderMap::new(), Cut::default());
        let all: Vec<_> = (0..MOST_VIEWERS).map(|_| open().unwrap()).collect();
        assert_eq!(open().unwrap_err().status(), 503);
        drop(all);
        let free = async {
            while open().is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, free).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_that_takes_nothing_is_cut_and_what_it_missed_is_counted() {
        let metrics = Metrics::new(1);
        let status = Arc::new(Status::new(None, &metrics));
        let viewers = Viewers::new(&status, &metrics, PATIENCE);
        let cut = Cut::default();
        let stream = viewers.open(&HeaderMap::new(), Arc::clone(&cut)).unwrap();
        for n in 0..PIECE * 4 {
            status.event("swap", n.to_string());
        }
        cut.notified().await; // time goes on by itself when nothing else can
        drop(stream);
        let text = metrics.text();
        let line = "edgewit_events_dropped_total{reason=\"slow\"} ";
        let count = text.split_once(line).and_then(|(_, rest)| rest.lines().next()).unwrap();
        assert_eq!(count.parse::<usize>().unwrap(), PIECE * 2, "all but two pieces");
    }
}
