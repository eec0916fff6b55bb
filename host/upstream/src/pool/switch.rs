//! A fresh HTTP/1.1 connection for a request that wants to leave HTTP.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::TrySendError};

use super::{
    http1::{Connection, Http1Lease, Idle, Keep},
    line::Open,
};
use crate::{body::OutBody, tunnel::Tunnel, wire::Gauge};

/// A fresh HTTP/1.1 connection for a request that wants to leave HTTP. Unlike the others it is not driven by a task of its
/// own, so that its bytes can be taken over.
pub(crate) struct Switching {
    idle: Idle,
    connection: Connection,
    ended: bool,
    keep: Keep,
}

impl Switching {
    pub(super) fn new(idle: Idle, connection: Connection, keep: Keep) -> Self {
        Self { idle, connection, ended: false, keep }
    }

    pub(crate) fn gauge(&self) -> &Gauge {
        self.idle.gauge()
    }

    /// Sends a request and waits for the response head.
    pub(crate) async fn send(
        &mut self,
        request: Request<OutBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<OutBody>>> {
        self.gauge().begin(false);
        let mut sending = pin!(self.idle.send(request));
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        poll_fn(|cx| {
            let _ = drive(connection, ended, cx); // what becomes of it, the other future says
            sending.as_mut().poll(cx)
        })
        .await
    }

    /// The upstream stays with HTTP: the connection becomes one like all others.
    pub(crate) fn into_lease(self) -> Http1Lease {
        let Self { idle, connection, keep, .. } = self;
        idle.drive(connection, keep.idle_timeout);
        Http1Lease::new(idle, keep, false)
    }

    /// The upstream has left HTTP: the connection as bytes.
    pub(crate) async fn into_tunnel(mut self) -> Tunnel {
        self.gauge().head_came();
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        poll_fn(|cx| drive(connection, ended, cx)).await;
        let parts = self.connection.into_parts();
        Tunnel::new(parts.io.into_inner(), parts.read_buf, Open::new(self.idle.endpoint()))
    }
}

/// hyper's part of a connection, which must not be polled after its end.
fn drive(connection: &mut Connection, ended: &mut bool, cx: &mut Context<'_>) -> Poll<()> {
    *ended = *ended || Pin::new(connection).poll(cx).is_ready();
    if *ended { Poll::Ready(()) } else { Poll::Pending }
}
