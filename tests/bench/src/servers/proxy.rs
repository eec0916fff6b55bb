//! What hyper costs: hyper on both sides and nothing else.

use std::{
    cell::RefCell,
    future::poll_fn,
    net::SocketAddr,
    path::Path,
    pin::{Pin, pin},
    rc::Rc,
    task::Context,
};

use anyhow::Result;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self as client, Connection, SendRequest},
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{announce, bind, local};
use crate::certificate;

type Driver = Connection<TokioIo<TcpStream>, Incoming>;

/// Connections to the origin that are free.
#[derive(Clone, Default)]
struct Idle {
    senders: Rc<RefCell<Vec<SendRequest<Incoming>>>>,
    /// Do they belong to all clients?
    shared: bool,
    /// Where a connection goes that is not spawned.
    inline: Option<Rc<RefCell<Option<Driver>>>>,
}

/// Serves HTTP/1.1, each client connection with one to the origin.
pub(crate) fn serve(to: SocketAddr, inline: bool) -> Result<()> {
    local(async move {
        let listener = bind().await?;
        announce(&[listener.local_addr()?]);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let inline = inline.then(Rc::default);
            tokio::task::spawn_local(connection(to, stream, Idle { inline, ..Idle::default() }));
        }
    })
}

/// Serves HTTP/2 with TLS; the connections to the origin belong to all clients.
pub(crate) fn serve_tls(to: SocketAddr, folder: &Path) -> Result<()> {
    let acceptor = TlsAcceptor::from(certificate::server(folder)?);
    local(async move {
        let listener = bind().await?;
        announce(&[listener.local_addr()?]);
        let idle = Idle { shared: true, ..Idle::default() };
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (idle, acceptor) = (idle.clone(), acceptor.clone());
            tokio::task::spawn_local(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let forward = service_fn(move |request| forward(to, idle.clone(), request));
                let server = http2::Builder::new(Local);
                let _ = server.serve_connection(TokioIo::new(stream), forward).await;
            });
        }
    })
}

async fn connection(to: SocketAddr, stream: TcpStream, idle: Idle) {
    let driver = idle.inline.clone().unwrap_or_default();
    let forward = service_fn(move |request| forward(to, idle.clone(), request));
    let mut server = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), forward));
    poll_fn(|cx| {
        // Before, for what has come from the origin; behind, for what goes to it.
        drive(&driver, cx);
        let served = server.as_mut().poll(cx).map(|_| ());
        drive(&driver, cx);
        served
    })
    .await;
}

fn drive(driver: &RefCell<Option<Driver>>, cx: &mut Context<'_>) {
    let mut slot = driver.borrow_mut();
    let ended = slot.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready());
    if ended {
        *slot = None;
    }
}

async fn forward(
    to: SocketAddr,
    idle: Idle,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>> {
    let mut sender = match idle.take() {
        Some(sender) => sender,
        None => idle.connect(to).await?,
    };
    sender.ready().await?;
    if request.version() == http::Version::HTTP_2 {
        *request.version_mut() = http::Version::HTTP_11;
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map(http::Uri::from).unwrap_or_default();
    }
    request.headers_mut().remove(http::header::CONNECTION);
    let response = sender.send_request(request).await?;
    idle.senders.borrow_mut().push(sender);
    Ok(response)
}

impl Idle {
    fn take(&self) -> Option<SendRequest<Incoming>> {
        let mut senders = self.senders.borrow_mut();
        senders.retain(|sender| !sender.is_closed());
        let free = senders.iter().position(SendRequest::is_ready);
        // The one of this client may not have been polled since its last answer; that of another may have one to deliver.
        let free = free.or((!self.shared && !senders.is_empty()).then_some(0))?;
        Some(senders.swap_remove(free))
    }

    async fn connect(&self, to: SocketAddr) -> Result<SendRequest<Incoming>> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = client::handshake(TokioIo::new(stream)).await?;
        match &self.inline {
            Some(slot) => *slot.borrow_mut() = Some(driver),
            None => drop(tokio::task::spawn_local(driver)),
        }
        Ok(sender)
    }
}

/// Runs the streams of an HTTP/2 connection on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
