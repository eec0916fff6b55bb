//! Origins in the test's own process.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{Certs, Protocol, block_on, spawn};

/// An HTTP server that remembers what it was asked. Dropping it stops it from accepting.
pub struct Origin {
    address: SocketAddr,
    scheme: &'static str,
    seen: Memory,
    accepting: JoinHandle<()>,
}

/// A request as it came to an origin.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Version.
    pub version: Version,
    /// Fields.
    pub headers: HeaderMap,
    /// Body, as far as it came.
    pub body: Bytes,
    /// Did the body end as it should?
    pub whole: bool,
}

/// What an origin was asked; `None`: it does not remember.
type Memory = Option<Arc<Mutex<Vec<Seen>>>>;

/// A body that is sent.
pub type Body = BoxBody<Bytes, std::io::Error>;
type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Handler = Arc<dyn Fn(Seen) -> Answer + Send + Sync>;

/// Sends the parts of a body that goes on for a while.
pub type Parts = mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>;

impl Origin {
    /// Answers with what it was asked, as JSON.
    pub fn echo() -> Self {
        Self::answering(echo)
    }

    /// As [`echo`](Self::echo), under a name that stands in the field `x-origin`.
    pub fn named(name: &'static str) -> Self {
        Self::answering(move |seen| {
            let mut response = echo(seen);
            response.headers_mut().insert("x-origin", name.parse().expect("a name is a value"));
            response
        })
    }

    /// Answers at once.
    pub fn answering(answer: impl Fn(&Seen) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self::start(Protocol::H1, None, ready(answer))
    }

    /// As [`echo`](Self::echo), but remembers nothing: for millions of requests.
    pub fn forgetful() -> Self {
        Self::remembering(None, Protocol::H1, None, ready(echo))
    }

    /// Answers after a while.
    pub fn slow(delay: Duration) -> Self {
        let answer: Handler = Arc::new(move |seen| {
            Box::pin(async move {
                tokio::time::sleep(delay).await;
                echo(&seen).map(full)
            })
        });
        Self::start(Protocol::H1, None, answer)
    }

    /// Answers with the head at once and the body as the test sends it: each request hands out its [`Parts`].
    pub fn streaming() -> (Self, mpsc::UnboundedReceiver<Parts>) {
        let (out, streams) = mpsc::unbounded_channel();
        let answer: Handler = Arc::new(move |_| {
            let (parts, receiver) = mpsc::unbounded_channel();
            let _ = out.send(parts); // the test may not look
            Box::pin(async move { Response::new(Receive(receiver).boxed()) })
        });
        (Self::start(Protocol::H1, None, answer), streams)
    }

    /// Speaks HTTP/2, without TLS.
    pub fn h2(answer: impl Fn(&Seen) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self::start(Protocol::H2, None, ready(answer))
    }

    /// Echoes behind TLS.
    pub fn tls(certs: &Certs, protocol: Protocol) -> Self {
        let mut config = certs.server();
        config.alpn_protocols = match protocol {
            Protocol::H1 => vec![b"http/1.1".to_vec()],
            Protocol::H2 => vec![b"h2".to_vec()],
        };
        Self::start(protocol, Some(TlsAcceptor::from(Arc::new(config))), ready(echo))
    }

    /// Its URL, with the host that its certificate names if it has one.
    pub fn url(&self) -> String {
        let host = if self.scheme == "https" { Certs::NAME } else { "127.0.0.1" };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// Everything it was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.as_ref().expect("this origin remembers");
        seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn start(protocol: Protocol, tls: Option<TlsAcceptor>, handler: Handler) -> Self {
        Self::remembering(Some(Arc::default()), protocol, tls, handler)
    }

    fn remembering(
        seen: Memory,
        protocol: Protocol,
        tls: Option<TlsAcceptor>,
        handler: Handler,
    ) -> Self {
        let listener = block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let remember = seen.clone();
        let accepting = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true); // it may be gone
                let (tls, handler, seen) = (tls.clone(), Arc::clone(&handler), remember.clone());
                spawn(async move {
                    match tls {
                        None => serve(stream, protocol, handler, seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, protocol, handler, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, scheme, seen, accepting }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve<S>(stream: S, protocol: Protocol, handler: Handler, memory: Memory)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, memory) = (Arc::clone(&handler), memory.clone());
        async move {
            let seen = Seen::read(request).await;
            if let Some(all) = &memory {
                all.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
            }
            Ok::<_, std::io::Error>(handler(seen).await)
        }
    });
    let io = TokioIo::new(stream);
    // What a connection ends with is the business of the other side.
    match protocol {
        Protocol::H1 => drop(conn::http1::Builder::new().serve_connection(io, service).await),
        Protocol::H2 => {
            let builder = conn::http2::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection(io, service).await);
        }
    }
}

impl Seen {
    async fn read(request: Request<Incoming>) -> Self {
        let (head, mut incoming) = request.into_parts();
        let mut body = Vec::new();
        let whole = loop {
            match incoming.frame().await {
                None => break true,
                Some(Ok(frame)) => {
                    body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()))
                }
                Some(Err(_)) => break false,
            }
        };
        Seen {
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            body: body.into(),
            whole,
        }
    }

    /// The first field of that name; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn echo(seen: &Seen) -> Response<Bytes> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields =
        seen.headers.iter().map(|(name, value)| [name.to_string(), text(value.as_bytes())]);
    let json = serde_json::json!({
        "method": seen.method.as_str(),
        "path": seen.uri.path_and_query().map_or("", |path| path.as_str()),
        "version": format!("{:?}", seen.version),
        "headers": fields.collect::<Vec<_>>(),
        "body": text(&seen.body),
    });
    let mut response = Response::new(Bytes::from(json.to_string()));
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().expect("it is a value"));
    response
}

fn ready(answer: impl Fn(&Seen) -> Response<Bytes> + Send + Sync + 'static) -> Handler {
    Arc::new(move |seen| {
        let response = answer(&seen).map(full);
        Box::pin(async move { response })
    })
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// A body of what a channel brings.
struct Receive(mpsc::UnboundedReceiver<Result<Frame<Bytes>, std::io::Error>>);

impl hyper::body::Body for Receive {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(context)
    }
}
