//! HTTP/2 that breaks its own rules, and what must not come out of it as HTTP/1 (THREATS A24, A25).

use super::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PING, PROTOCOL_ERROR,
        PUSH_PROMISE, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, block, frame, request, setting,
    },
    is_well,
};
use crate::support::{Backend, Gateway};

/// THREATS A24
#[tokio::test]
async fn a24_broken_frames_end_the_connection() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let bytes: [(&str, Vec<u8>); 14] = [
        ("DATA on stream 0", frame(DATA, 0, 0, &[1])),
        ("DATA on an idle stream", frame(DATA, 0, 5, &[1])),
        ("HEADERS on stream 0", request(0, &GET)),
        ("HEADERS on an even stream", request(2, &GET)),
        ("RST_STREAM on an idle stream", frame(RST_STREAM, 0, 7, &[0; 4])),
        ("RST_STREAM of another length", frame(RST_STREAM, 0, 1, &[0; 3])),
        ("WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, 9, &[0, 0, 0, 1])),
        ("window of the connection overflows", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255])),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, &[])),
        ("SETTINGS of another length", frame(SETTINGS, 0, 0, &[1])),
        ("a window setting that overflows", frame(SETTINGS, 0, 0, &setting(4, u32::MAX))),
        ("PING of another length", frame(PING, 0, 0, &[1])),
        ("PUSH_PROMISE of a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &[])),
    ];
    for (what, bytes) in bytes {
        let mut raw = Raw::new(gateway.address).await;
        raw.write(&bytes).await;
        let goaway = raw.until(|f| f.kind == GOAWAY).await;
        assert!(goaway.is_some_and(|f| f.code() != 0), "{what}");
        raw.rest().await; // the connection ends
    }
    let between =
        [frame(HEADERS, END_STREAM, 1, &block(&GET)), frame(PING, 0, 0, &[0; 8])].concat();
    let lower = [request(3, &GET), request(1, &GET)].concat();
    for bytes in [between, lower] {
        let mut raw = Raw::new(gateway.address).await;
        raw.write(&bytes).await;
        assert!(raw.until(|f| f.kind == GOAWAY && f.code() == PROTOCOL_ERROR).await.is_some());
    }
    let counted = "edgewit_requests_refused_total{listener=\"web\",reason=\"protocol\"}";
    assert!(gateway.metrics.text().contains(counted), "{}", gateway.metrics.text());
    is_well(&gateway).await;
}

/// THREATS A25
#[tokio::test]
async fn a25_what_would_be_two_requests_elsewhere_is_refused() {
    let backend = Backend::ok().await;
    let gateway = Gateway::to(&backend);
    let with = |name: &'static str, value: &'static str| {
        let mut fields = GET.to_vec();
        fields.push((name, value));
        fields
    };
    let instead = |name: &'static str, value: &'static str| {
        let change = |field: (&'static str, &'static str)| {
            if field.0 == name { (name, value) } else { field }
        };
        GET.map(change).to_vec()
    };
    let without = |name: &str| GET.into_iter().filter(|f| f.0 != name).collect::<Vec<_>>();
    let heads = [
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        with(":path", "/b"),
        with(":method", "POST"),
        with(":status", "200"),
        with(":other", "x"),
        instead(":path", ""),
        instead(":path", "/a b"),
        instead(":path", "/a HTTP/1.1\r\nx: y"),
        instead(":path", "/%2fadmin"),
        instead(":path", "*"),
        instead(":path", "admin"),
        instead(":method", ""),
        instead(":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET"),
        instead(":method", "G T"),
        instead(":authority", "a\r\nx: y"),
        instead(":authority", "u@a"),
        instead(":authority", "a/admin"),
        instead(":authority", ""),
        with("host", "b"),
        with("X-Upper", "y"),
        with("x y", "z"),
        with("x:y", "z"),
        with("", "z"),
        with("x", "a\r\ny: b"),
        with("x", "a\nb"),
        with("x", "a\0b"),
        with("x_user", "root"),
        with("connection", "close"),
        with("transfer-encoding", "chunked"),
        with("upgrade", "h2c"),
        with("keep-alive", "5"),
        with("proxy-connection", "close"),
        with("te", "gzip"),
        with("content-length", "5"),
        with("content-length", "-1"),
        with("content-length", "+0"),
        [with("content-length", "0"), vec![("content-length", "0")]].concat(),
        [GET[..2].to_vec(), vec![("x", "y")], GET[2..].to_vec()].concat(),
    ];
    for head in heads {
        let mut raw = Raw::new(gateway.address).await;
        raw.write(&request(1, &head)).await;
        let end = raw
            .until(|f| {
                matches!(f.kind, RST_STREAM | GOAWAY) || (f.kind == HEADERS && f.stream == 1)
            })
            .await
            .unwrap_or_else(|| panic!("{head:?} got no answer"));
        match end.kind {
            HEADERS => assert_eq!(end.status(), Some(400), "{head:?}"),
            _ => assert_ne!(end.code(), 0, "{head:?}"),
        }
        assert!(backend.heads().is_empty(), "{head:?} got {:?}", backend.heads());
    }
    let text = gateway.metrics.text();
    for reason in ["stream", "bad-request"] {
        let counted =
            format!("edgewit_requests_refused_total{{listener=\"web\",reason=\"{reason}\"}}");
        assert!(text.contains(&counted), "{counted} in {text}");
    }
    is_well(&gateway).await;
}

/// THREATS A25
#[tokio::test]
async fn a25_a_length_that_is_not_kept_never_ends_cleanly() {
    use tokio::io::AsyncReadExt;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let backend = Backend::new(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all).await;
            let _ = tell.send(all);
        }
    })
    .await;
    let gateway = Gateway::to(&backend);
    for (length, body) in [("5", "abc"), ("2", "abc")] {
        let mut fields = GET.to_vec();
        fields[0] = (":method", "POST");
        fields.push(("content-length", length));
        let mut raw = Raw::new(gateway.address).await;
        raw.write(&frame(HEADERS, END_HEADERS, 1, &block(&fields))).await;
        raw.write(&frame(DATA, END_STREAM, 1, body.as_bytes())).await;
        let end = raw.until(|f| matches!(f.kind, RST_STREAM | GOAWAY | HEADERS)).await.unwrap();
        assert_ne!(end.status(), Some(200), "{length}");
        let seen = crate::support::within(told.recv()).await.unwrap();
        let body = String::from_utf8(seen).unwrap();
        let body = body.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned());
        assert!(body.len().to_string() != length, "{length}: a whole request with {body:?}");
    }
}
