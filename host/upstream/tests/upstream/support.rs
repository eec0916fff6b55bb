//! An upstream that says exactly what a test wants, and a worker to ask it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use edgewit_model as model;
use edgewit_upstream::{BodyError, InBody, OutBody, Pools, SendError, Tried, Upstream, send};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::LocalSet,
    time::timeout,
};

/// Runs a test as a worker would, and never for longer than this.
pub(crate) async fn worker<F: Future>(test: F) -> F::Output {
    let test = timeout(Duration::from_secs(90), test);
    LocalSet::new().run_until(test).await.expect("the test hangs")
}

/// The configuration of an upstream with endpoints on these ports of this machine.
pub(crate) fn config(ports: &[u16]) -> model::Upstream {
    let endpoint = |port: &u16| model::Endpoint {
        tls: false,
        host: "127.0.0.1".into(),
        port: *port,
        weight: 1,
    };
    let name = model::UpstreamName::new("test").unwrap();
    let mut config = model::Upstream::new(name, ports.iter().map(endpoint).collect());
    config.timeouts.connect = Duration::from_secs(10);
    config
}

/// An upstream, the pools of one worker, and what it tried.
pub(crate) struct Worker {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) pools: Pools,
}

impl Worker {
    pub(crate) fn new(config: &model::Upstream) -> Self {
        Self { upstream: Upstream::new(config).unwrap(), pools: Pools::new() }
    }

    pub(crate) async fn send(
        &self,
        request: Request<OutBody>,
    ) -> Result<Response<InBody>, SendError> {
        send(&self.upstream, &self.pools, request, &mut Tried::new()).await
    }

    /// Status and whole body of an answer.
    pub(crate) async fn ask(&self, request: Request<OutBody>) -> Result<(u16, Bytes), SendError> {
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await.unwrap().to_bytes()))
    }

    /// Connections that wait for a request.
    pub(crate) fn kept(&self) -> usize {
        self.upstream.endpoints().iter().map(|e| self.pools.kept(e.id())).sum()
    }

    /// Waits until no connection is open.
    pub(crate) async fn all_closed(&self) {
        while self.upstream.endpoints().iter().any(|e| e.counters().connections() > 0) {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn get() -> Request<OutBody> {
    request("GET", OutBody::empty())
}

pub(crate) fn post(body: &'static str) -> Request<OutBody> {
    request("POST", OutBody::full(Bytes::from_static(body.as_bytes())))
}

pub(crate) fn request(method: &str, body: OutBody) -> Request<OutBody> {
    Request::builder()
        .method(method)
        .uri("/a?b=c")
        .header("host", "client.example")
        .body(body)
        .unwrap()
}

/// A listener whose every byte the test writes.
pub(crate) struct Raw {
    listener: TcpListener,
}

impl Raw {
    pub(crate) async fn bind() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    pub(crate) async fn accept(&self) -> Peer {
        Peer { tcp: self.listener.accept().await.unwrap().0, unread: Vec::new() }
    }
}

impl From<TcpListener> for Raw {
    fn from(listener: TcpListener) -> Self {
        Self { listener }
    }
}

/// The upstream's end of a connection.
pub(crate) struct Peer {
    tcp: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// The next request, head and a body with `content-length`; `None` at the end of the connection.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let head = loop {
            if let Some(end) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let text = String::from_utf8(self.unread[..head].to_vec()).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = head + length.map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < whole {
            self.read().await?;
        }
        Some(String::from_utf8(self.unread.drain(..whole).collect()).unwrap())
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8(self.bytes().await).unwrap()
    }

    /// All bytes up to the end of the connection.
    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        while self.read().await.is_some() {}
        std::mem::take(&mut self.unread)
    }

    /// Everything up to these bytes.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        while !self.unread.ends_with(end.as_bytes()) {
            self.read().await.expect("the connection ended too early");
        }
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }

    async fn read(&mut self) -> Option<()> {
        let read = self.tcp.read_buf(&mut self.unread).await;
        matches!(read, Ok(1..)).then_some(())
    }

    pub(crate) async fn say(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.tcp.write_all(text.as_ref()).await; // the other end may have had enough
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A body of these frames, each after a turn of the runtime; pending for ever behind them if it does not end.
pub(crate) struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, BodyError>>,
    ends: bool,
    turned: bool,
}

impl Frames {
    pub(crate) fn new(frames: impl IntoIterator<Item = Result<&'static str, BodyError>>) -> Self {
        let frame = |data: &'static str| Frame::data(Bytes::from_static(data.as_bytes()));
        let frames = frames.into_iter().map(|f| f.map(frame)).collect();
        Self { frames, ends: true, turned: false }
    }

    pub(crate) fn endless(self) -> Self {
        Self { ends: false, ..self }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.turned = !self.turned;
        if self.turned {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.frames.pop_front() {
            None if !self.ends => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }
}
