//! Sockets that were opened by somebody else.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use edgewit_model::{Listener, ListenerName};

/// A socket that is bound and listens already, because whoever started this process opened it (socket activation), or
/// because the process before this one did (an upgrade).
#[derive(Debug)]
pub struct Adopted {
    /// Its name, if it was given one; `listen = "fd:<name>"` asks for it.
    pub name: Option<String>,
    /// The listener that it served in the process before this one.
    pub listener: Option<ListenerName>,
    /// The socket.
    pub socket: TcpListener,
}

impl Adopted {
    /// Is this the socket that a listener asks for? By name, or else by the very address.
    pub(super) fn is_for(&self, config: &Listener) -> bool {
        match &config.inherited {
            Some(wanted) => self.name.as_ref() == Some(wanted),
            None if config.listen.port() != 0 => self.address() == Some(config.listen),
            // Any port would do, so it is the one that the listener had.
            None => {
                let same_ip = self.address().is_some_and(|a| a.ip() == config.listen.ip());
                same_ip && self.listener.as_ref() == Some(&config.name)
            }
        }
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Another handle of the socket, of which no call blocks.
    pub(super) fn open(&self) -> io::Result<TcpListener> {
        let socket = self.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}
