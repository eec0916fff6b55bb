//! A server that can be killed and started again.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::read_head;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server that can be killed: its socket and its connections go at once.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    running: Option<JoinHandle<()>>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, running: Some(tokio::spawn(accept(listener))) }
    }

    pub(crate) async fn kill(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        let _ = running.await;
    }

    pub(crate) async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.running = Some(tokio::spawn(accept(listener)));
    }
}

async fn accept(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(answer(stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(mut stream: TcpStream) {
    while let Some(head) = read_head(&mut stream).await {
        if head.contains("content-length: 3") && stream.read_exact(&mut [0; 3]).await.is_err() {
            return;
        }
        if stream.write_all(OK).await.is_err() {
            return;
        }
    }
}
