//! A connection on which the test writes and reads every byte.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::DEADLINE;

/// A connection without any protocol.
pub struct Raw {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream =
            TcpStream::connect_timeout(&address, DEADLINE).expect("it can be connected to");
        Self::new(stream)
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        stream.set_nodelay(true).expect("it is a socket");
        Self { stream, seen: Vec::new() }
    }

    /// Writes all of it.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the other side reads");
    }

    /// Reads until this text has come; gives everything up to its end. What follows stays for the next call.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) -> String {
        loop {
            let found = self.seen.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(start) = found {
                let rest = self.seen.split_off(start + text.len());
                return lossy(std::mem::replace(&mut self.seen, rest));
            }
            assert!(
                self.read_some(),
                "the end came before {text:?}: {:?}",
                lossy(self.seen.clone())
            );
        }
    }

    /// Reads so many bytes. What follows stays for the next call.
    #[track_caller]
    pub fn read(&mut self, length: usize) -> String {
        while self.seen.len() < length {
            assert!(self.read_some(), "the end came: {:?}", lossy(self.seen.clone()));
        }
        let rest = self.seen.split_off(length);
        lossy(std::mem::replace(&mut self.seen, rest))
    }

    /// Reads until the other side closes.
    pub fn read_to_end(&mut self) -> String {
        while self.read_some() {}
        lossy(std::mem::take(&mut self.seen))
    }

    /// Writes no more.
    pub fn close_write(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write); // the other side may have closed
    }

    /// Reads more; `false` at the end.
    fn read_some(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(n) => {
                self.seen.extend_from_slice(&buffer[..n]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing comes: {error}; so far {:?}", lossy(self.seen.clone())),
        }
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
