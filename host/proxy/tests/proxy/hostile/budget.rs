//! What one client may hold, and that the others do not notice (THREATS A23, F3).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use edgewit_model::ByteSize;
use tokio::{io::AsyncWriteExt, net::TcpSocket};

use super::{
    frames::{
        CALM, GET, GOAWAY, HEADERS, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, frame, request,
        setting,
    },
    is_well,
};
use crate::support::{
    Backend, Connection, Gateway, forward_to, listener, read_head, route, until, upstream, within,
};

const MIB: usize = 1 << 20;
/// A window that never closes (RFC 9113 6.9.1).
const WIDE: u32 = (1 << 31) - 1;

/// An upstream whose responses are so long.
async fn origin(length: usize) -> Backend {
    // One for all, so that this process can be measured.
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let response: Arc<[u8]> = [head.as_bytes(), &vec![b'x'; length]].concat().into();
    Backend::new(move |mut stream, _| {
        let response = Arc::clone(&response);
        async move {
            while read_head(&mut stream).await.is_some() {
                if stream.write_all(&response).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// Waits until no more memory is taken.
async fn settled() {
    let mut before = 0;
    for _ in 0..40 {
        let now = resident();
        if now.abs_diff(before) < MIB {
            return;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn active(gateway: &Gateway) -> usize {
    let text = gateway.metrics.text();
    let line = text.lines().find_map(|l| l.strip_prefix("http_server_active_requests "));
    line.map_or(0, |number| number.parse().unwrap())
}

/// One request from another address, with everything of its response.
async fn other_client(address: SocketAddr) -> Vec<u8> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = within(socket.connect(address)).await.unwrap();
    let mut connection = Connection { stream };
    connection.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    connection.rest().await.0
}

/// THREATS A23
#[tokio::test]
async fn a23_streams_over_the_limit_are_refused() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::to(&backend);
    let mut raw = Raw::new(gateway.address).await;
    let some: Vec<u8> = (0..150).flat_map(|n| request(2 * n + 1, &GET)).collect();
    raw.write(&some).await;
    for _ in 0..50 {
        let next = raw.until(|f| f.kind == RST_STREAM).await.expect("the connection goes on");
        assert_eq!((next.stream > 200, next.code()), (true, 7), "REFUSED_STREAM");
    }
    until("the others run", || active(&gateway) == 100).await;
    // Whoever goes on is told to go.
    let many: Vec<u8> = (150..1_000).flat_map(|n| request(2 * n + 1, &GET)).collect();
    raw.write(&many).await;
    let goaway = raw.until(|f| f.kind == GOAWAY).await.expect("GOAWAY before the end");
    assert_eq!(goaway.code(), CALM);
    assert!(backend.heads().len() <= 100);
    drop(raw);
    until("all are over", || active(&gateway) == 0).await;
}

/// THREATS A23
#[tokio::test]
async fn a23_stalled_responses_hold_little_and_are_cut() {
    let backend = origin(MIB).await;
    let mut listener = listener();
    listener.limits.stall_timeout = Duration::from_secs(2);
    let to_upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&to_upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![to_upstream])]);
    // Windows of 1 byte: each response is asked for, begun and never taken.
    let mut raw = Raw::with(gateway.address, "127.0.0.1", &setting(4, 1)).await;
    let all: Vec<u8> = (0..100).flat_map(|n| request(2 * n + 1, &GET)).collect();
    raw.write(&all).await;
    let (mut begun, mut cut) = (0, 0);
    while cut < 100 {
        let next = raw.next().await.expect("the connection goes on");
        begun += usize::from(next.kind == HEADERS);
        cut += usize::from(next.kind == RST_STREAM);
    }
    assert_eq!(begun, 100);
    until("all are over", || active(&gateway) == 0).await;
}

/// THREATS F3
#[tokio::test]
async fn one_client_that_reads_nothing_leaves_the_others_alone() {
    let backend = origin(MIB).await;
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])]);
    let warm = other_client(gateway.address).await;
    assert!(warm.starts_with(b"HTTP/1.1 200 "));
    let before = resident();
    let mut greedy = Vec::new();
    for _ in 0..10 {
        let mut raw = Raw::with(gateway.address, "127.0.0.1", &setting(4, WIDE)).await;
        raw.write(&frame(WINDOW_UPDATE, 0, 0, &(WIDE - 65_535).to_be_bytes())).await;
        raw.write(&(0..100).flat_map(|n| request(2 * n + 1, &GET)).collect::<Vec<u8>>()).await;
        greedy.push(raw);
    }
    until("all of its requests are under way", || active(&gateway) >= 500).await;
    for _ in 0..50 {
        let answer = other_client(gateway.address).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.len() > MIB);
    }
    settled().await;
    let grown = resident().saturating_sub(before);
    // Other tests of this process take some too.
    assert!(grown < 256 * MIB, "{grown} bytes are held");
    drop(greedy);
    until("all are over", || active(&gateway) == 0).await;
}

#[tokio::test]
async fn a_client_has_so_many_requests_at_a_time() {
    let backend = Backend::new(|mut stream, _| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.starts_with("GET /wait ") {
                std::future::pending::<()>().await;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let mut listener = listener();
    listener.limits.requests_per_client = 5;
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut connection = Connection::new(gateway.address).await;
        connection.write("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        waiting.push(connection);
    }
    until("five are under way", || active(&gateway) == 5).await;
    let mut connection = Connection::new(gateway.address).await;
    for _ in 0..3 {
        connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let (head, body) = connection.response().await;
        assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
        assert!(body.contains("\"status\":429"), "{body}");
    }
    assert!(other_client(gateway.address).await.starts_with(b"HTTP/1.1 200 "));
    let counted = "edgewit_requests_refused_total{listener=\"web\",reason=\"too-many-requests\"} 3";
    assert!(gateway.metrics.text().contains(counted), "{}", gateway.metrics.text());
    drop(waiting);
    until("they are over", || active(&gateway) == 0).await;
    is_well(&gateway).await;
}

#[tokio::test]
async fn a_connection_that_used_up_its_memory_goes_on_when_its_client_does() {
    let (sent, mut progress) = tokio::sync::mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, _| {
        let sent = sent.clone();
        async move {
            read_head(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head).await;
            let chunk = [b"4000\r\n".as_slice(), &vec![b'x'; 0x4000], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {
                let _ = sent.send(());
            }
        }
    })
    .await;
    let mut listener = listener();
    listener.limits.connection_memory = ByteSize(64 << 10);
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])]);
    // Nothing of these responses is taken: together they are more than the connection may hold.
    let mut raw = Raw::with(gateway.address, "127.0.0.1", &setting(4, 1)).await;
    raw.write(&(0..20).flat_map(|n| request(2 * n + 1, &GET)).collect::<Vec<u8>>()).await;
    let mut begun = 0;
    while begun < 20 {
        let next = raw.next().await.expect("the connection goes on");
        begun += usize::from(next.kind == HEADERS);
    }
    let still = Duration::from_millis(500);
    while tokio::time::timeout(still, progress.recv()).await.is_ok() {}
    // Taking goes on as soon as the client takes.
    raw.write(&frame(SETTINGS, 0, 0, &setting(4, 1 << 20))).await;
    raw.write(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes())).await;
    let mut taken = 0;
    while taken < 4 * MIB {
        let next = raw.next().await.expect("the connection goes on");
        taken += next.payload.len();
    }
}
