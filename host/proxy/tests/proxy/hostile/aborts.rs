//! Clients that leave (THREATS A15).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::is_well;
use crate::support::{Backend, Connection, Gateway, read_head, until};

const SIZE: usize = 300_000;

/// Counts one as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// An upstream that reads a body and answers with one of the same size, and the number of its requests under way.
async fn origin() -> (Backend, Arc<AtomicUsize>) {
    let open: Arc<AtomicUsize> = Arc::default();
    let of_backend = Arc::clone(&open);
    let backend = Backend::new(move |mut stream, _| {
        let open = Arc::clone(&of_backend);
        async move {
            while let Some(head) = read_head(&mut stream).await {
                let open = Open::new(&open);
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().unwrap());
                let mut body = vec![0; length];
                if stream.read_exact(&mut body).await.is_err() {
                    return;
                }
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
                let sent = async {
                    stream.write_all(head.as_bytes()).await?;
                    stream.write_all(&vec![b'x'; SIZE]).await
                };
                if sent.await.is_err() {
                    return;
                }
                drop(open);
            }
        }
    })
    .await;
    (backend, open)
}

/// Everything that clients had begun is over.
async fn all_over(gateway: &Gateway, open: &AtomicUsize) {
    until("requests at the upstream have ended", || open.load(SeqCst) == 0).await;
    until("connections of clients are closed", || gateway.proxy.connections() == 0).await;
    let idle = || gateway.metrics.text().contains("http_server_active_requests 0");
    until("no request is under way", idle).await;
}

/// THREATS A15
#[tokio::test]
async fn a15_uploads_that_break_off_leave_nothing_behind() {
    let (backend, open) = origin().await;
    let gateway = Gateway::to(&backend);
    for n in 0..200 {
        let mut connection = Connection::new(gateway.address).await;
        let head = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n");
        connection.write(head).await;
        connection.write(vec![b'x'; SIZE * (n % 10) / 10]).await;
        drop(connection);
    }
    all_over(&gateway, &open).await;
    is_well(&gateway).await;
}

/// THREATS A15
#[tokio::test]
async fn a15_downloads_that_break_off_leave_nothing_behind() {
    let (backend, open) = origin().await;
    let gateway = Gateway::to(&backend);
    for n in 0..200 {
        let mut connection = Connection::new(gateway.address).await;
        connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        connection.head().await;
        connection.read(SIZE * (n % 10) / 10).await;
        drop(connection);
    }
    all_over(&gateway, &open).await;
    is_well(&gateway).await;
}
