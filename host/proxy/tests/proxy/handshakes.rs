//! What happens at the door of a TLS listener (THREATS A13, A17).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use edgewit_model::{Listener, ListenerTls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::rustls::{ClientConnection, pki_types::ServerName};

use crate::support::{Authority, Gateway, TlsClient, hello, listener, until, within};

struct Door {
    gateway: Gateway,
    client: TlsClient,
    _folder: tempfile::TempDir,
}

fn door(change: impl FnOnce(&mut Listener)) -> Door {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let files = authority.issue(&["a.test"]).write(folder.path(), "a");
    let tls = Some(ListenerTls::new(files.cert, files.key));
    let mut listener = Listener { tls, ..listener() };
    change(&mut listener);
    let client = TlsClient::trusting(&authority).build();
    Door { gateway: hello(listener), client, _folder: folder }
}

impl Door {
    async fn serves(&self) {
        let answer = self.client.get(self.gateway.address, "a.test", "a.test").await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
    }

    /// No connection is left, and no descriptor but that of the listener.
    async fn is_empty(&self) {
        let Gateway { proxy, address, .. } = &self.gateway;
        until("no connection is left", || proxy.connections() == 0).await;
        until("no socket is left", || sockets_at(*address) == 1).await;
    }

    fn hello(&self) -> Vec<u8> {
        let name = ServerName::try_from("a.test").unwrap();
        let mut connection = ClientConnection::new(self.client.config(), name).unwrap();
        let mut out = Vec::new();
        connection.write_tls(&mut out).unwrap();
        out
    }
}

/// Descriptors of this machine that are bound to an address.
fn sockets_at(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { panic!("an IPv4 address") };
    let at = format!("{:08X}:{:04X}", address.ip().to_bits().swap_bytes(), address.port());
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|line| line[1] == at && line[9] != "0").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a17_a_thousand_aborted_handshakes_leave_nothing_behind() {
    let door = door(|_| {});
    let hello = door.hello();
    for round in 0..1_000_usize {
        let mut stream = within(TcpStream::connect(door.gateway.address)).await.unwrap();
        let sent = hello.len() * (round % 5) / 4; // nothing, a part, all of it
        stream.write_all(&hello[..sent]).await.unwrap();
        if round % 3 == 0 {
            let _ = tokio::time::timeout(Duration::from_millis(1), stream.read_u8()).await;
        }
        if round % 2 == 0 {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(); // a reset
        }
        drop(stream);
        if round % 250 == 0 {
            door.serves().await;
        }
    }
    door.serves().await;
    door.is_empty().await;
}

#[tokio::test]
async fn a17_what_is_no_handshake_is_answered_by_an_alert_or_nothing() {
    let door = door(|_| {});
    let mut wrong_version = door.hello();
    wrong_version[1] = 9;
    let mut huge = vec![0x16, 3, 1, 0xff, 0xff];
    huge.resize(20_000, 0);
    let mut long_hello = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]; // 16 MiB announced
    long_hello.resize(5 + 0x4000, 0);
    let cases: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\r\n",
        &[0; 1_024],
        &[0xff; 70_000],
        &wrong_version,
        &huge,
        &long_hello,
    ];
    for bytes in cases {
        let mut stream = within(TcpStream::connect(door.gateway.address)).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut out = Vec::new();
        let _ = within(stream.read_to_end(&mut out)).await; // a reset is an end too
        assert!(out.is_empty() || out[0] == 0x15 && out.len() <= 16, "{out:x?}");
    }
    until("they are counted", || {
        let series = r#"edgewit_connections_refused_total{listener="web",reason="handshake"} 8"#;
        door.gateway.metrics.text().contains(series)
    })
    .await;
    door.serves().await;
    door.is_empty().await;
}

#[tokio::test]
async fn a17_a_hello_in_many_pieces_is_a_hello() {
    let door = door(|_| {});
    let hello = door.hello();
    let (header, body) = hello.split_at(5);
    let record = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&header[..3], &length, piece].concat()
    };
    let records: Vec<u8> = body.chunks(50).flat_map(record).collect();
    for bytes in [hello.clone(), records] {
        let mut stream = within(TcpStream::connect(door.gateway.address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in bytes.chunks(7) {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = [0; 6];
        within(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!((answer[0], answer[5]), (0x16, 2), "a server hello");
    }
    door.serves().await;
}

#[tokio::test]
async fn a13_a_handshake_that_drips_is_ended_in_its_own_time() {
    let door = door(|listener| {
        listener.limits.handshake_timeout = Duration::from_millis(1_500);
        listener.limits.header_timeout = Duration::from_secs(600);
    });
    let hello = door.hello();
    let begun = Instant::now();
    let mut stream = within(TcpStream::connect(door.gateway.address)).await.unwrap();
    let (mut read, mut write) = stream.split();
    let drip = async {
        for byte in hello.chunks(1) {
            if write.write_all(byte).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut out = Vec::new();
    let ended = async {
        tokio::select! { _ = read.read_to_end(&mut out) => {}, () = drip => {} }
    };
    within(ended).await;
    assert!(begun.elapsed() >= Duration::from_millis(1_500));
    assert!(out.is_empty(), "{out:x?}");
    door.is_empty().await;
    door.serves().await;
}
