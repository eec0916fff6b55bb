//! The administration endpoint: what is going on and what should, for people and tools on this machine.
//!
//! It is a socket of its own on a loopback address. A page in a browser could still reach it through a name that resolves
//! to 127.0.0.1, so that only requests for a loopback host are answered, and a change needs more than a page can send
//! (`write`).

mod host;

mod page;

mod target;

mod write;

mod viewer;

use std::{convert::Infallible, net::SocketAddr, os::fd::AsFd, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

pub(crate) use page::{Largest, Measure, Pages};
use viewer::{Cut, EventStream};
pub(crate) use write::Carry;

/// Connections at the same time; a person has a few, and so has a monitoring system.
const MOST_CONNECTIONS: usize = 64;
/// For a request head, and between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept, which mostly means that there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a request head; the smallest that hyper takes.
const LARGEST_HEAD: usize = 8 << 10;

/// A bound endpoint.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Takes the address, or a socket that listens there already.
    pub(crate) fn bind(
        asked: SocketAddr,
        adopted: Option<std::net::TcpListener>,
    ) -> std::io::Result<Self> {
        let is_there = |socket: &std::net::TcpListener| {
            let address = socket.local_addr();
            address.is_ok_and(|a| a.ip() == asked.ip() && [0, a.port()].contains(&asked.port()))
        };
        let socket = match adopted.filter(is_there) {
            Some(socket) => socket,
            None => std::net::TcpListener::bind(asked)?,
        };
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { listener: TcpListener::from_std(socket)?, address })
    }

    /// The socket, for the process that takes the place of this one.
    pub(crate) fn socket(&self) -> std::io::Result<std::net::TcpListener> {
        Ok(self.listener.as_fd().try_clone_to_owned()?.into())
    }

    /// Where it really is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for ever.
    pub(crate) async fn serve(self, pages: Arc<Pages>) {
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let pages = Arc::clone(&pages);
                    tokio::spawn(async move {
                        connection(stream, pages).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the administration endpoint cannot accept");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, pages: Arc<Pages>) {
    let cut = Cut::default();
    let cut_too = Arc::clone(&cut);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (pages, cut) = (Arc::clone(&pages), Arc::clone(&cut_too));
        async move { Ok::<_, Infallible>(respond(&pages, request, cut).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::debug!(%error, "a connection to the administration endpoint broke");
            }
        }
        () = cut.notified() => {}
    }
}

/// A page, or events as they happen.
type Answer = Either<Full<Bytes>, EventStream>;

async fn respond(pages: &Pages, request: Request<Incoming>, cut: Cut) -> Response<Answer> {
    match host::check(&request) {
        Ok(()) => pages.answer(request, cut).await,
        Err(problem) => {
            pages.tell_refused(&request, &problem);
            problem.into_response().map(Either::Left)
        }
    }
}

#[cfg(test)]
mod tests;
