//! Floods of HTTP/2 frames (THREATS A18 to A22).

use std::sync::Arc;

use super::{
    frames::{
        ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PING,
        PRIORITY, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, block, frame, request, setting, string,
    },
    is_well,
};
use crate::support::{Backend, Gateway, forward_to, listener, route, upstream, within};

/// Writes frames until the connection is closed, at most so many; says how many went out.
async fn flood(raw: &mut Raw, times: usize, make: impl Fn(u32) -> Vec<u8>) -> usize {
    for n in 0..times {
        if !raw.write(&make(n as u32)).await {
            return n;
        }
    }
    times
}

/// The connection ends by GOAWAY for this reason, and nothing more than this was written by then.
async fn told_to_calm(raw: &mut Raw, most: usize) {
    let frames = raw.rest().await;
    let bytes: usize = frames.iter().map(|frame| 9 + frame.payload.len()).sum();
    let goaways: Vec<u32> = frames.iter().filter(|f| f.kind == GOAWAY).map(|f| f.code()).collect();
    assert!(goaways.contains(&CALM), "{goaways:?} of {} frames", frames.len());
    assert!(bytes <= most, "{bytes} bytes for nothing");
}

/// THREATS A18
#[tokio::test]
async fn a18_rapid_resets_end_the_connection() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    for together in [true, false] {
        let mut raw = Raw::new(gateway.address).await;
        let pair = |n: u32| {
            let reset = frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]);
            [request(2 * n + 1, &GET), reset].concat()
        };
        if together {
            let all: Vec<u8> = (0..20_000).flat_map(pair).collect();
            raw.write(&all).await;
        } else {
            flood(&mut raw, 20_000, pair).await;
        }
        let goaway = raw.until(|f| f.kind == GOAWAY && f.code() == CALM).await;
        let goaway = goaway.expect("GOAWAY before the end");
        let last = u32::from_be_bytes(goaway.payload[..4].try_into().unwrap());
        assert!(last <= 300, "{last}: at most 150 pairs were looked at");
    }
    is_well(&gateway).await;
    // The clean request is one of them.
    let reached = backend.heads().len() - 1;
    assert!(reached <= 2 * 20, "{reached} requests that nobody waits for reached the upstream");
}

/// THREATS A19
#[tokio::test]
async fn a19_windows_that_are_no_windows_end_the_connection() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    type Make = fn(u32) -> Vec<u8>;
    let makes: [Make; 4] = [
        |_| frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        |_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        |n| frame(PRIORITY, 0, 2 * n + 1, &[(2 * n + 1).to_be_bytes().as_slice(), &[7]].concat()),
    ];
    for (n, make) in makes.into_iter().enumerate() {
        let mut raw = Raw::new(gateway.address).await;
        flood(&mut raw, 5_000, make).await;
        let goaway = raw.until(|f| f.kind == GOAWAY && f.code() != 0).await;
        assert!(goaway.is_some(), "flood {n}");
    }
    is_well(&gateway).await;
}

/// THREATS A20
#[tokio::test]
async fn a20_endless_header_blocks_end_the_connection() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    for payload in [Vec::new(), block(&[("x", "y")])] {
        let mut raw = Raw::new(gateway.address).await;
        raw.write(&frame(HEADERS, END_STREAM, 1, &block(&GET))).await;
        flood(&mut raw, 20_000, |_| frame(CONTINUATION, 0, 1, &payload)).await;
        let goaway = raw.until(|f| f.kind == GOAWAY && f.code() != 0).await;
        assert!(goaway.is_some());
    }
    assert!(backend.heads().is_empty());
    is_well(&gateway).await;
}

/// THREATS A21
#[tokio::test]
async fn a21_frames_that_cost_a_client_nothing_end_the_connection() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    type Make = fn(u32) -> Vec<u8>;
    let makes: [(&str, Make); 6] = [
        ("SETTINGS", |_| frame(SETTINGS, 0, 0, &setting(3, 100))),
        ("SETTINGS with ACK", |_| frame(SETTINGS, ACK, 0, &[])),
        ("PING", |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes())),
        ("PRIORITY", |_| frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 7])),
        ("unknown", |_| frame(0xfa, 0, 0, &[1, 2, 3])),
        ("PRIORITY_UPDATE", |_| frame(0x10, 0, 0, &[0, 0, 0, 3, b'u', b'=', b'1'])),
    ];
    for (what, make) in makes {
        let mut raw = Raw::new(gateway.address).await;
        let all: Vec<u8> = (0..50_000).flat_map(make).collect();
        let _ = raw.write(&all).await;
        let frames = raw.rest().await;
        let bytes: usize = frames.iter().map(|frame| 9 + frame.payload.len()).sum();
        assert!(bytes <= 64 << 10, "{what}: {bytes} bytes for nothing");
        assert!(frames.iter().any(|f| f.kind == GOAWAY && f.code() != 0), "{what}");
    }
    let mut raw = Raw::new(gateway.address).await;
    let post: Vec<(&str, &str)> =
        GET.iter().map(|(n, v)| if *n == ":method" { (*n, "POST") } else { (*n, *v) }).collect();
    raw.write(&frame(HEADERS, END_HEADERS, 1, &block(&post))).await;
    flood(&mut raw, 50_000, |_| frame(DATA, 0, 1, &[])).await;
    told_to_calm(&mut raw, 64 << 10).await;
    let text = gateway.metrics.text();
    assert!(
        text.contains("edgewit_requests_refused_total{listener=\"web\",reason=\"control-frames\"}"),
        "{text}"
    );
    is_well(&gateway).await;
}

/// THREATS A22
#[tokio::test]
async fn a22_compressed_heads_do_not_grow() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    // An entry of 3.9 KB in the table, and a head of references to it: 4,000 bytes that would be 16 MB.
    let mut bomb = block(&GET);
    bomb.push(0x40);
    string(b"x", &mut bomb);
    string(&[b'y'; 3_900], &mut bomb);
    bomb.extend_from_slice(&[0x80 | 62; 4_000]);
    let empty = [block(&GET), vec![0x40, 0, 0], vec![0x80 | 62; 12_000]].concat();
    let cookies: Vec<(&str, &str)> =
        GET.into_iter().chain((0..400).map(|_| ("cookie", "a=b"))).collect();
    let few: Vec<(&str, &str)> =
        GET.into_iter().chain((0..101).map(|_| ("cookie", "a=b"))).collect();
    for (n, head) in [bomb, empty, block(&cookies), block(&few)].into_iter().enumerate() {
        let mut raw = Raw::new(gateway.address).await;
        raw.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head)).await;
        let end = raw
            .until(|f| {
                matches!(f.kind, RST_STREAM | GOAWAY) || (f.kind == HEADERS && f.stream == 1)
            })
            .await
            .expect("an answer");
        assert_ne!(end.status(), Some(200), "head {n}");
    }
    assert!(backend.heads().is_empty(), "{:?}", backend.heads().len());
    is_well(&gateway).await;
}

#[tokio::test]
async fn an_honest_client_never_notices() {
    // A download of 20 MB opens windows thousands of times; a hundred requests are given up at once.
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 20000000\r\n\r\n".as_slice();
    let response: Arc<[u8]> = [head, &vec![7; 20_000_000]].concat().into();
    let backend = Backend::new(move |mut stream, _| {
        let response = Arc::clone(&response);
        async move {
            while crate::support::read_head(&mut stream).await.is_some() {
                if tokio::io::AsyncWriteExt::write_all(&mut stream, &response).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let upstream = upstream("u", &[backend.address]);
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])]);
    let mut raw = Raw::new(gateway.address).await;
    let open = |n: u32| request(2 * n + 1, &GET);
    raw.write(&(0..90).flat_map(open).collect::<Vec<u8>>()).await;
    raw.until(|f| f.kind == HEADERS).await.expect("a response");
    let give_up = |n: u32| frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]);
    raw.write(&(0..90).flat_map(give_up).collect::<Vec<u8>>()).await;
    raw.write(&request(1_001, &GET)).await;
    let mut received = 0;
    while received < 20_000_000 {
        let next = raw.next().await.expect("the connection lives");
        assert_ne!(next.kind, GOAWAY);
        if next.kind != DATA {
            continue;
        }
        let length = next.payload.len();
        let room = (length as u32).to_be_bytes();
        raw.write(&frame(WINDOW_UPDATE, 0, 0, &room)).await;
        if next.stream == 1_001 {
            received += length;
            for part in 0..length.div_ceil(4_096) {
                let part = (length - part * 4_096).min(4_096) as u32;
                within(raw.write(&frame(WINDOW_UPDATE, 0, 1_001, &part.to_be_bytes()))).await;
            }
        }
    }
}
