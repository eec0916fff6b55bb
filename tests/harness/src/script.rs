//! An origin whose every byte the test writes.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
};

use crate::Raw;

/// An origin that plays one script for each connection, in their order, and then accepts no more.
pub struct Script {
    address: SocketAddr,
}

/// What happens on one connection.
pub type Act = Box<dyn FnOnce(Raw) + Send>;

impl Script {
    /// Listens. A connection waits until the script of the one before has ended.
    pub fn play(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for act in acts {
                if let Ok((stream, _)) = listener.accept() {
                    act(Raw::new(stream));
                }
            }
        });
        Self { address }
    }

    /// Where it listens, as TOML wants it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
