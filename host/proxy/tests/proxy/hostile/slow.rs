//! Clients that take their time (THREATS A13); limits are short, so that tests are.

use std::time::{Duration, Instant};

use edgewit_model::ListenerLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::frames::{
    DATA, END_HEADERS, END_STREAM, GET, HEADERS, RST_STREAM, Raw, block, frame, request, setting,
};
use crate::support::{
    Backend, Connection, Gateway, forward_to, listener, read_head, route, until, upstream, within,
};

const SHORT: Duration = Duration::from_millis(300);
/// Longer than any test may take: what is asked for must not end by this.
const LONG: Duration = Duration::from_secs(3_600);

fn gateway(backend: &Backend, change: impl FnOnce(&mut ListenerLimits)) -> Gateway {
    let mut listener = listener();
    let limits = &mut listener.limits;
    (limits.header_timeout, limits.idle_timeout, limits.stall_timeout) = (LONG, LONG, LONG);
    change(&mut listener.limits);
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    Gateway::new(listener, vec![(to, Vec::new(), vec![upstream])])
}

fn is_idle(gateway: &Gateway) -> bool {
    gateway.metrics.text().contains("http_server_active_requests 0")
}

/// An upstream that takes everything and says nothing.
async fn hungry() -> Backend {
    Backend::new(|mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

/// An upstream with endless responses.
async fn endless() -> Backend {
    Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head).await;
        let chunk = [b"4000\r\n".as_slice(), &vec![b'x'; 0x4000], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await
}

/// THREATS A13
#[tokio::test]
async fn a13_half_a_header_block_is_not_waited_for() {
    let backend = hungry().await;
    let gateway = gateway(&backend, |limits| limits.header_timeout = SHORT);
    let whole = request(3, &GET);
    let begins = [frame(HEADERS, END_STREAM, 3, &block(&GET)), whole[..20].to_vec(), vec![0, 0]];
    for begin in begins {
        for busy in [false, true] {
            let mut raw = Raw::new(gateway.address).await;
            if busy {
                raw.write(&request(1, &GET)).await; // a request under way changes nothing
            }
            raw.write(&begin).await;
            raw.rest().await; // the connection ends
        }
    }
    until("all have ended", || is_idle(&gateway)).await;
}

/// THREATS A13
#[tokio::test]
async fn a13_a_body_that_drips_is_a_408() {
    let backend = hungry().await;
    let gateway = gateway(&backend, |limits| {
        limits.stall_timeout = SHORT;
        limits.body_rate = Some(1_000);
    });
    let mut connection = Connection::new(gateway.address).await;
    connection.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await;
    let (mut read, mut write) = connection.stream.split();
    let drip = async {
        // Never still for as long as the limit, and far below the rate.
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        read = within(read.read_to_end(&mut answer)) => drop(read),
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", answer.escape_ascii());
}

/// THREATS A13
#[tokio::test]
async fn a13_a_body_that_drips_over_http2_is_ended_too() {
    let backend = hungry().await;
    let gateway = gateway(&backend, |limits| {
        limits.stall_timeout = SHORT;
        limits.body_rate = Some(1_000);
    });
    let mut post = GET;
    post[0] = (":method", "POST");
    let mut raw = Raw::new(gateway.address).await;
    raw.write(&frame(HEADERS, END_HEADERS, 1, &block(&post))).await;
    let begun = Instant::now();
    let (mut read, mut write) = raw.stream.split();
    let drip = async {
        while write.write_all(&frame(DATA, 0, 1, b"x")).await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
        std::future::pending::<()>().await;
    };
    let mut came = Vec::new();
    let ended = async {
        // The response's HEADERS on stream 1, or its reset.
        loop {
            came.push(read.read_u8().await.unwrap());
            let is_end = |w: &[u8]| matches!(w[3], HEADERS | RST_STREAM) && w[5..9] == [0, 0, 0, 1];
            if came.windows(9).any(is_end) {
                return;
            }
        }
    };
    tokio::select! {
        () = drip => {}
        () = within(ended) => {}
    }
    assert!(begun.elapsed() < LONG);
    until("it has ended", || is_idle(&gateway)).await;
}

#[tokio::test]
async fn no_rate_is_expected_where_none_is_configured() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        stream.read_exact(&mut [0; 30]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let gateway = gateway(&backend, |limits| {
        limits.stall_timeout = Duration::from_secs(5);
        limits.body_rate = None;
    });
    let mut connection = Connection::new(gateway.address).await;
    connection.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\n\r\n").await;
    for _ in 0..30 {
        connection.write("x").await;
        tokio::time::sleep(SHORT / 10).await;
    }
    assert_eq!(connection.response().await.1, "ok");
}

#[tokio::test]
async fn messages_of_grpc_come_in_their_own_time() {
    let backend = Backend::new(|mut stream, _| async move {
        read_head(&mut stream).await.unwrap();
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let gateway = gateway(&backend, |limits| {
        limits.stall_timeout = Duration::from_secs(2);
        limits.body_rate = Some(1_000);
    });
    let mut fields = GET.to_vec();
    fields[0] = (":method", "POST");
    fields.push(("content-type", "application/grpc+proto"));
    let mut raw = Raw::new(gateway.address).await;
    raw.write(&frame(HEADERS, END_HEADERS, 1, &block(&fields))).await;
    for _ in 0..30 {
        raw.write(&frame(DATA, 0, 1, b"x")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    raw.write(&frame(DATA, END_STREAM, 1, b"x")).await;
    let head = raw.until(|f| matches!(f.kind, HEADERS | RST_STREAM)).await.unwrap();
    assert_eq!(head.status(), Some(200));
}

/// THREATS A13
#[tokio::test]
async fn a13_a_reader_that_drips_is_cut() {
    let backend = endless().await;
    let gateway = gateway(&backend, |limits| {
        limits.stall_timeout = SHORT;
        limits.body_rate = Some(100 << 20); // what loopback does not reach byte by byte
    });
    let mut connection = Connection::new(gateway.address).await;
    connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut space = [0; 4_096];
    let slowly = async {
        while matches!(connection.stream.read(&mut space).await, Ok(1..)) {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::select! {
        () = slowly => {}
        () = until("it is cut", || gateway.metrics.text().contains("_count{http_request_method=\"GET\"")) => {}
    }

    // Over HTTP/2: the window is opened by a byte at a time.
    let window = setting(4, 1);
    let mut raw = Raw::with(gateway.address, "127.0.0.1", &window).await;
    raw.write(&request(1, &GET)).await;
    let mut cut = None;
    while cut.is_none() {
        let next = raw.next().await.expect("the connection goes on");
        match next.kind {
            DATA => {
                tokio::time::sleep(SHORT / 10).await;
                raw.write(&frame(super::frames::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await;
            }
            RST_STREAM => cut = Some(next),
            _ => {}
        }
    }
    until("all have ended", || is_idle(&gateway)).await;
}
