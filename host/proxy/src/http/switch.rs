//! A connection of HTTP/1.1 that is taken over by another protocol.

use hyper::server::conn::http1::Parts;
use hyper_util::rt::TokioIo;

use crate::{
    connection::Connection,
    relay::Relay,
    wire::{Tcp, Wire},
};

/// Where a request leaves what shall take its connection over. It is emptied when the connection ends, however it does:
/// what lies there holds the connection.
pub(super) struct Switchboard<'a>(pub(super) &'a Connection);

impl Switchboard<'_> {
    pub(super) fn take(&self) -> Option<Box<Relay>> {
        self.0.switched.take()
    }
}

impl Drop for Switchboard<'_> {
    fn drop(&mut self) {
        self.take();
    }
}

/// Relays what comes after the head of the `101`. Bytes that the client sent before it had that head are the first of them
/// (THREATS A11), unless they were such that a server might have read a request in them.
pub(super) async fn take_over<S: Tcp, F>(parts: Parts<TokioIo<Wire<S>>, F>, relay: Relay) {
    let mut wire = parts.io.into_inner();
    if wire.leave_http() {
        relay.run(wire, parts.read_buf).await;
    }
}
