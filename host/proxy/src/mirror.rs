//! Copies of requests for an upstream whose responses nobody sees.
//!
//! The request itself never waits for its copy and never learns what became of it.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use edgewit_model::Mirror;
use edgewit_telemetry::{Counter, Metrics, families};
use edgewit_upstream::{BodyError, OutBody, Tried, Upgrade, Upstream, send};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio::{
    task::spawn_local,
    time::{Instant, timeout_at},
};

use crate::{policy::is_drawn, worker::Context};

/// Who gets copies of a route's requests.
pub(crate) struct LiveMirror {
    upstream: Arc<Upstream>,
    percent: u32,
    /// Longest body that is copied.
    body: usize,
    counters: Arc<Counters>,
}

/// `edgewit_mirrored_total`, by result.
struct Counters {
    /// There was a response.
    ok: Counter,
    /// There was none.
    failed: Counter,
    /// Too many copies were on their way.
    dropped: Counter,
    /// The body was too long.
    too_large: Counter,
    /// The body did not come to its end.
    incomplete: Counter,
}

/// Copies on their way at a time, on each worker. With bodies of 64 KiB they hold 16 MiB.
const MOST: usize = 256;
/// For a copy from its begin to the end of its response; a mirror is no place to wait for.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a response that are read to keep the connection.
const DRAINED: usize = 1 << 20;

thread_local! {
    /// Copies on their way on this worker.
    static RUNNING: Cell<usize> = const { Cell::new(0) };
}

/// One of them.
struct Running;

impl LiveMirror {
    pub(crate) fn new(
        route: &str,
        own: &Mirror,
        upstream: Arc<Upstream>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let counter =
            |result| metrics.counter(&families::MIRRORED, &[("route", route), ("result", result)]);
        let counters = Counters {
            ok: counter("ok"),
            failed: counter("failed"),
            dropped: counter("dropped"),
            too_large: counter("too-large"),
            incomplete: counter("incomplete"),
        };
        let (percent, body) = (own.percent, own.body.as_usize());
        Self { upstream, percent, body, counters: Arc::new(counters) }
    }

    /// The upstream that gets the copies.
    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Sends a copy, as soon as its body is there, if the request is one of those that are copied.
    pub(crate) fn copy(
        &self,
        context: &Rc<Context>,
        request: Request<OutBody>,
    ) -> Request<OutBody> {
        // What becomes a tunnel has no copy.
        if request.extensions().get::<Upgrade>().is_some() || !is_drawn(self.percent) {
            return request;
        }
        let (parts, body) = request.into_parts();
        let size = body.size_hint().lower();
        if size > self.body as u64 {
            self.counters.too_large.increment();
            return Request::from_parts(parts, body);
        }
        let mut head = Request::new(());
        *head.method_mut() = parts.method.clone();
        *head.uri_mut() = parts.uri.clone();
        *head.headers_mut() = parts.headers.clone();
        let copy = Copy {
            context: Rc::clone(context),
            upstream: Arc::clone(&self.upstream),
            counters: Arc::clone(&self.counters),
            head,
        };
        let body = match body.replay() {
            Some(whole) => {
                copy.send(whole);
                body
            }
            None => OutBody::stream(Tee {
                whole: body.size_hint().exact(),
                body,
                copy: Some((copy, BytesMut::new())),
                counters: Arc::clone(&self.counters),
                most: self.body,
            }),
        };
        Request::from_parts(parts, body)
    }
}

/// A copy that is not on its way yet.
struct Copy {
    context: Rc<Context>,
    upstream: Arc<Upstream>,
    counters: Arc<Counters>,
    head: Request<()>,
}

impl Copy {
    fn send(self, body: OutBody) {
        let Some(running) = Running::begin() else {
            self.counters.dropped.increment();
            return;
        };
        spawn_local(async move {
            let _running = running;
            let deadline = Instant::now() + LIMIT;
            let answered = timeout_at(deadline, self.answered(body, deadline)).await;
            match answered {
                Ok(true) => self.counters.ok.increment(),
                _ => self.counters.failed.increment(),
            }
        });
    }

    /// Whether there was a response. Its body is read as far as that keeps the connection, and dropped.
    async fn answered(&self, body: OutBody, deadline: Instant) -> bool {
        let mut request = Request::new(body);
        *request.method_mut() = self.head.method().clone();
        *request.uri_mut() = self.head.uri().clone();
        *request.headers_mut() = self.head.headers().clone();
        let mut tried = Tried::new();
        tried.deadline = Some(deadline);
        let sent = send(&self.upstream, &self.context.pools, request, &mut tried).await;
        let Ok(response) = sent else { return false };
        let mut body = response.into_body();
        let mut left = DRAINED;
        while let Some(Ok(frame)) =
            std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        true
    }
}

impl Running {
    fn begin() -> Option<Self> {
        let running = RUNNING.get();
        (running < MOST).then(|| {
            RUNNING.set(running + 1);
            Self
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get().saturating_sub(1));
    }
}

/// A body that is kept while it passes, as long as it is short enough.
struct Tee {
    body: OutBody,
    /// Its length, if it has said so.
    whole: Option<u64>,
    copy: Option<(Copy, BytesMut)>,
    counters: Arc<Counters>,
    most: usize,
}

impl Tee {
    fn keep(&mut self, chunk: &Bytes) {
        let Some((_, kept)) = &mut self.copy else { return };
        if kept.len() + chunk.len() > self.most {
            self.copy = None;
            self.counters.too_large.increment();
        } else {
            kept.extend_from_slice(chunk);
        }
    }

    /// Whether all of the length is there. The end itself may come later, and nobody may wait for it.
    fn is_whole(&self) -> bool {
        self.copy.as_ref().is_some_and(|(_, kept)| self.whole == Some(kept.len() as u64))
    }

    fn end(&mut self) {
        if let Some((copy, kept)) = self.copy.take() {
            copy.send(OutBody::full(kept.freeze()));
        }
    }
}

impl Body for Tee {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(chunk) = frame.data_ref() {
                    this.keep(chunk);
                }
                // Whoever sends it may not ask again.
                if frame.is_trailers() || this.body.is_end_stream() || this.is_whole() {
                    this.end();
                }
            }
            Some(Err(_)) => {}
            None => this.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        if self.copy.take().is_some() {
            self.counters.incomplete.increment();
        }
    }
}
