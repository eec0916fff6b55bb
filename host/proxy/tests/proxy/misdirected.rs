//! A connection carries requests for the hosts that its certificate speaks for (RFC 9110 15.5.20, THREATS H12).

use std::net::SocketAddr;

use edgewit_model::{ClientAuth, ClientAuthMode, Listener, ListenerTls, TlsVersion};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{Authority, Gateway, TlsClient, hello, listener, within};

/// Two certificates, and what clients are asked for.
fn gateway(
    authority: &Authority,
    client_auth: Option<ClientAuthMode>,
) -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let tls = ListenerTls {
        files: vec![
            authority.issue(&["a.test", "*.a.test", "127.0.0.1"]).write(folder.path(), "a"),
            authority.issue(&["b.test"]).write(folder.path(), "b"),
            authority.issue(&["a.test"]).write(folder.path(), "never-shown"),
        ],
        min_version: TlsVersion::V1_2,
        client_auth: client_auth.map(|mode| ClientAuth { ca, mode, crl: None }),
    };
    (hello(Listener { tls: Some(tls), ..listener() }), folder)
}

/// The status of a request for a host on a connection for a name, over both protocols.
async fn statuses(client: &Clients, address: SocketAddr, name: &str, host: &str) -> [u16; 2] {
    let text = client.h1.get(address, name, host).await.unwrap();
    let h1 = text.split(' ').nth(1).unwrap().parse().unwrap();
    let stream = client.h2.connect(address, name).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let body = Empty::<bytes::Bytes>::new().boxed_unsync();
    let request = Request::get(format!("https://{host}/")).body(body).unwrap();
    let h2 = within(sender.send_request(request)).await.unwrap().status().as_u16();
    [h1, h2]
}

struct Clients {
    h1: TlsClient,
    h2: TlsClient,
}

#[tokio::test]
async fn h12_a_host_that_the_certificate_does_not_have_is_misdirected() {
    let authority = Authority::new("ca");
    let (gateway, _folder) = gateway(&authority, None);
    let client = Clients {
        h1: TlsClient::of_anybody(&[]).speaks(&["http/1.1"]).build(),
        h2: TlsClient::of_anybody(&[]).speaks(&["h2"]).build(),
    };
    for (name, host, expected) in [
        ("a.test", "a.test", 200),
        ("a.test", "A.Test:8443", 200),
        ("a.test", "x.a.test", 200), // a connection that is used again
        ("x.a.test", "a.test", 200),
        ("a.test", "127.0.0.1", 200),
        ("a.test", "127.0.0.2", 421),
        ("a.test", "b.test", 421),
        ("a.test", "x.y.a.test", 421),
        ("b.test", "a.test", 421),
        ("b.test", "b.test", 200),
        ("unknown.test", "unknown.test", 200), // no certificate of ours, but nothing disagrees
        ("unknown.test", "a.test", 200),       // it was shown the first one
        ("unknown.test", "b.test", 421),
        ("127.0.0.1", "a.test", 200), // no name was sent
        ("127.0.0.1", "b.test", 200),
        ("127.0.0.1", "127.0.0.1", 200),
    ] {
        let statuses = statuses(&client, gateway.address, name, host).await;
        assert_eq!(statuses, [expected; 2], "{name} {host}");
    }
    let text = gateway.metrics.text();
    assert!(text.contains(r#"error_type="misdirected""#), "{text}");
}

#[tokio::test]
async fn h12_where_clients_show_certificates_a_connection_is_for_one_host() {
    let authority = Authority::new("ca");
    let me = authority.issue(&["me.test"]);
    let client = Clients {
        h1: TlsClient::of_anybody(&[]).shows(&me).speaks(&["http/1.1"]).build(),
        h2: TlsClient::of_anybody(&[]).shows(&me).speaks(&["h2"]).build(),
    };
    for mode in [ClientAuthMode::Require, ClientAuthMode::Request] {
        let (gateway, _folder) = gateway(&authority, Some(mode));
        for (name, host, expected) in [
            ("a.test", "a.test", 200),
            ("a.test", "a.test:8443", 200),
            ("a.test", "x.a.test", 421),
            ("a.test", "127.0.0.1", 421),
            ("unknown.test", "unknown.test", 200),
            ("unknown.test", "a.test", 421),
            ("127.0.0.1", "127.0.0.1", 200),
            ("127.0.0.1", "[::1]", 200),
            ("127.0.0.1", "a.test", 421),
        ] {
            let statuses = statuses(&client, gateway.address, name, host).await;
            assert_eq!(statuses, [expected; 2], "{mode:?} {name} {host}");
        }
    }
}

#[tokio::test]
async fn a_misdirected_request_leaves_the_connection_open() {
    let authority = Authority::new("ca");
    let (gateway, _folder) = gateway(&authority, None);
    let client = TlsClient::trusting(&authority).build();
    let mut stream = client.connect(gateway.address, "a.test").await.unwrap();
    let requests = "GET / HTTP/1.1\r\nhost: b.test\r\n\r\n\
        GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    let answers = crate::support::ask(&mut stream, requests).await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 421 Misdirected Request\r\n"), "{answers}");
    assert!(answers.ends_with("hello"), "{answers}");
}
