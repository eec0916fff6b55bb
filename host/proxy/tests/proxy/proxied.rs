//! Listeners behind a balancer that speaks the PROXY protocol.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use edgewit_chain::{Fact, RequestVerdict};
use edgewit_model::{Listener, ListenerTls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Authority, Gateway, Native, TlsClient, answer, ask, connect_from, listener, respond, route,
    talk, until, within,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Balancers at 127.0.0.1 and 10.0.0.0/8.
fn behind() -> Listener {
    let trusted = ["127.0.0.1", "10.0.0.0/8"];
    Listener {
        proxy_protocol: true,
        trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
        ..listener()
    }
}

/// Answers with the address of the client, and what the next one is told of the way here.
fn telling(listener: Listener) -> Gateway {
    let filter = Native {
        on_request: Some(Box::new(|exchange| {
            let client = exchange.fact(Fact::ClientAddress).unwrap();
            let chain = exchange.fields["x-forwarded-for"].to_str().unwrap();
            let text: &'static str = format!("{client} via {chain}").leak();
            Ok(RequestVerdict::Answer(answer(200, text)))
        })),
        ..Native::default()
    };
    let filter = filter.into_filter();
    Gateway::new(listener, vec![(route(respond(200, "")), vec![filter], Vec::new())])
}

fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, payload].concat()
}

fn refused(gateway: &Gateway, reason: &str) -> u64 {
    let series =
        format!(r#"edgewit_connections_refused_total{{listener="web",reason="{reason}"}} "#);
    let text = gateway.metrics.text();
    let value = text.lines().find_map(|line| line.strip_prefix(&series).map(str::to_owned));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn the_header_says_who_the_client_is() {
    let gateway = telling(behind());
    let four = [192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 2];
    let six = [&[0x20, 1, 0xd, 0xb8], [0; 12].as_slice(), &[0; 16], &[0, 1, 0, 2]].concat();
    let more = [four.as_slice(), &[4, 0x0f, 0xe5], &[0; 0xfe5 - 4]].concat(); // 4 KiB in all
    for (header, expected) in [
        ("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".into(), "192.0.2.7 via 192.0.2.7"),
        ("PROXY TCP6 2001:db8::7 ::1 1 2\r\n".into(), "2001:db8::7 via 2001:db8::7"),
        ("PROXY UNKNOWN\r\n".into(), "127.0.0.1 via 127.0.0.1"),
        ("PROXY UNKNOWN 192.0.2.7 a b c\r\n".into(), "127.0.0.1 via 127.0.0.1"),
        (binary(0x21, 0x11, &four), "192.0.2.7 via 192.0.2.7"),
        (binary(0x21, 0x21, &six), "2001:db8:: via 2001:db8::"),
        (binary(0x21, 0x11, &more[..4_080]), "192.0.2.7 via 192.0.2.7"),
        (binary(0x20, 0x11, &four), "127.0.0.1 via 127.0.0.1"),
        (binary(0x20, 0, &[]), "127.0.0.1 via 127.0.0.1"),
    ] {
        let answer = talk(gateway.address, [header.as_slice(), GET.as_bytes()].concat()).await;
        assert!(answer.ends_with(expected), "{header:x?}: {answer}");
        // The same in pieces, so that no byte of the request is taken for one of the header.
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in header
            .chunks(100)
            .flat_map(|piece| piece.chunks(if header.len() > 200 { 99 } else { 3 }))
        {
            stream.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stream.write_all(GET.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.ends_with(expected), "{header:x?} in pieces: {answer}");
    }
}

#[tokio::test]
async fn h7_forwarding_fields_are_believed_only_from_an_address_that_is_trusted_itself() {
    let gateway = telling(behind());
    let get =
        "GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 9.9.9.9\r\nconnection: close\r\n\r\n";
    for (header, expected) in [
        ("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", "192.0.2.7 via 192.0.2.7"),
        ("PROXY TCP4 10.0.0.7 10.0.0.1 1 2\r\n", "9.9.9.9 via 9.9.9.9, 10.0.0.7"),
        // Nobody knows who is behind these.
        ("PROXY UNKNOWN\r\n", "127.0.0.1 via 127.0.0.1"),
    ] {
        let answer = talk(gateway.address, format!("{header}{get}")).await;
        assert!(answer.ends_with(expected), "{header}: {answer}");
    }
    let local = [binary(0x20, 0, &[]).as_slice(), get.as_bytes()].concat();
    let answer = talk(gateway.address, local).await;
    assert!(answer.ends_with("127.0.0.1 via 127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn what_is_no_header_is_closed() {
    let gateway = telling(behind());
    let four = [192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 2];
    let mut too_long = binary(0x21, 0x11, &four);
    too_long[14..16].copy_from_slice(&4_081_u16.to_be_bytes());
    too_long.resize(5_000, 0);
    let long_line = format!("PROXY UNKNOWN {}\r\n", "a".repeat(93));
    let cases: [Vec<u8>; 9] = [
        GET.into(),
        format!("{}{GET}", long_line).into(),
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n".into(),
        "PROXY TCP4 999.0.2.7 10.0.0.1 1 2\r\n".into(),
        format!("PROXY{}", "a".repeat(1_000)).into(),
        binary(0x31, 0x11, &four),
        binary(0x21, 0x11, &four[..4]),
        too_long,
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\0\0\0".into(),
    ];
    for (n, bytes) in cases.iter().enumerate() {
        assert_eq!(talk(gateway.address, bytes).await, "", "{bytes:x?}");
        let counted = n as u64 + 1;
        until("it is counted", || refused(&gateway, "proxy-header") == counted).await;
    }
    // A look at the port is no attack.
    drop(TcpStream::connect(gateway.address).await.unwrap());
    until("nobody is left", || gateway.proxy.connections() == 0).await;
    assert_eq!(refused(&gateway, "proxy-header"), cases.len() as u64);
}

#[tokio::test]
async fn only_balancers_may_speak_it() {
    let gateway = telling(behind());
    let mut stream = connect_from([127, 0, 0, 2], gateway.address).await;
    let _ = stream.write_all(format!("PROXY TCP4 10.0.0.7 10.0.0.1 1 2\r\n{GET}").as_bytes()).await;
    let mut out = Vec::new();
    let _ = within(stream.read_to_end(&mut out)).await; // a reset is an end too
    assert!(out.is_empty());
    until("it is counted", || refused(&gateway, "untrusted-peer") == 1).await;
}

#[tokio::test]
async fn a_header_that_drips_is_ended_in_the_time_of_a_head() {
    let mut listener = behind();
    listener.limits.header_timeout = Duration::from_millis(300);
    let gateway = telling(listener);
    for begin in ["", "PROXY", "PROXY TCP4 192.0.2.7", "\r\n\r\n\0\r\nQUIT\n\x21\x11"] {
        assert_eq!(talk(gateway.address, begin).await, "", "{begin:?}");
    }
    until("all are counted", || refused(&gateway, "proxy-header") == 4).await;
    until("nobody is left", || gateway.proxy.connections() == 0).await;
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let files = authority.issue(&["a.test"]).write(folder.path(), "a");
    let tls = Some(ListenerTls::new(files.cert, files.key));
    let gateway = Arc::new(telling(Listener { tls, ..behind() }));
    let client = TlsClient::trusting(&authority).build();
    let over = async |header: &[u8], address: SocketAddr| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(header).await.unwrap();
        let mut stream = client.over(stream, "a.test").await.unwrap();
        ask(&mut stream, GET).await.unwrap()
    };
    let four = [192, 0, 2, 7, 10, 0, 0, 1, 0, 1, 0, 2];
    for header in
        [binary(0x21, 0x11, &four), "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".as_bytes().to_vec()]
    {
        let answer = over(&header, gateway.address).await;
        assert!(answer.ends_with("192.0.2.7 via 192.0.2.7"), "{answer}");
    }
    assert!(client.connect(gateway.address, "a.test").await.is_err(), "the header is required");
}
