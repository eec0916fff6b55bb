//! Bytes between a client and an upstream that have left HTTP.

mod flow;

mod quiet;

use std::{future::poll_fn, rc::Rc, task::Poll, time::Duration};

use bytes::Bytes;
use edgewit_chain::SummaryEnding;
use edgewit_upstream::Tunnel;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
};

use crate::{finish::Finish, http::StreamWatch};
use flow::{Fault, Flow};
use quiet::Quiet;

/// Once one side has said its last, the other may stay silent for this long: who waits for an answer is not kept waiting
/// by a peer that has forgotten it.
const HALF_CLOSED: Duration = Duration::from_secs(60);

/// Bytes between a client and an upstream that have left HTTP, both ways until both sides have ended or one has broken.
///
/// It counts as a request in flight: it is logged and counted when it ends, and a drain waits for it.
pub(crate) struct Relay {
    /// There until it is closed.
    upstream: Option<Box<Tunnel>>,
    idle: Duration,
    finish: Box<Finish>,
    /// The client's side, if it is a stream of HTTP/2.
    stream: Option<Rc<StreamWatch>>,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Both,
    Client,
    Upstream,
    Idle,
}

impl Relay {
    pub(crate) fn new(upstream: Box<Tunnel>, finish: Box<Finish>, idle: Duration) -> Self {
        finish.connection().context.shared.tunnels.up();
        Self { upstream: Some(upstream), idle, finish, stream: None }
    }

    /// The connection of the request is the client's side, as soon as hyper has written the head.
    pub(crate) fn wait_for_connection(self) {
        let connection = Rc::clone(self.finish.connection());
        connection.switched.set(Some(Box::new(self)));
    }

    /// A stream is the client's side, as soon as hyper has written the head.
    pub(crate) fn wait_for_stream(mut self, stream: OnUpgrade, watch: Option<Rc<StreamWatch>>) {
        if let Some(watch) = &watch {
            watch.leaves_http();
        }
        self.stream = watch;
        spawn_local(async move {
            if let Ok(stream) = stream.await {
                self.run(TokioIo::new(stream), Bytes::new()).await;
            }
        });
    }

    /// Relays to the end. `front` came from the client already.
    pub(crate) async fn run(mut self, client: impl AsyncRead + AsyncWrite + Unpin, front: Bytes) {
        match self.relay(client, front).await {
            Ended::Both => self.finish.complete(),
            Ended::Client => self.cut(SummaryEnding::ClientGone),
            Ended::Upstream => self.cut(SummaryEnding::UpstreamCut),
            Ended::Idle => self.cut(SummaryEnding::HostCut),
        }
    }

    async fn relay(
        &mut self,
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        front: Bytes,
    ) -> Ended {
        let Self { upstream, idle, finish, stream } = self;
        let Some(mut tunnel) = upstream.take() else { return Ended::Upstream };
        let stall = finish.connection().settings.config.limits.stall_timeout;
        let (mut up, mut down) = (Flow::new(front, stall), Flow::new(Bytes::new(), stall));
        let mut quiet = Quiet::new(*idle);
        let ended = poll_fn(|cx| {
            let there = up.poll(cx, &mut client, &mut tunnel);
            let back = down.poll(cx, &mut tunnel, &mut client);
            let (sent, received) = (up.take_moved(), down.take_moved());
            let read = finish.request_bytes();
            read.set(read.get() + sent as u64);
            finish.sent(received);
            match (there, back) {
                (Poll::Ready(Err(Fault::From)), _) | (_, Poll::Ready(Err(Fault::To))) => {
                    return Poll::Ready(Ended::Client);
                }
                (Poll::Ready(Err(Fault::To)), _) | (_, Poll::Ready(Err(Fault::From))) => {
                    return Poll::Ready(Ended::Upstream);
                }
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ended::Both),
                (Poll::Pending, Poll::Pending) => {}
                _ => quiet.shorten(HALF_CLOSED),
            }
            quiet.poll_over(cx, sent + received > 0).map(|()| Ended::Idle)
        });
        let ended = ended.await;
        if ended != Ended::Both {
            // Neither side may take it for an orderly end.
            tunnel.reset();
            finish.reset_connection();
            if let Some(stream) = stream {
                stream.reset();
            }
        }
        ended
    }

    fn cut(&mut self, ending: SummaryEnding) {
        self.finish.cut(ending);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.finish.connection().context.shared.tunnels.down();
    }
}
