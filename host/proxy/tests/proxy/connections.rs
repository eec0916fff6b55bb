//! How many connections one client may have (THREATS F2).

use std::net::SocketAddr;

use edgewit_model::{Listener, ListenerTls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Authority, Connection, Gateway, TlsClient, connect_from, hello, listener, talk, until, within,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const CLOSE: &str = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";

fn bounded(connections: usize, per_client: usize) -> Listener {
    let mut listener = listener();
    listener.limits.connections = connections;
    listener.limits.connections_per_client = per_client;
    listener
}

/// Connections that were served and stay open.
async fn hold(address: SocketAddr, source: [u8; 4], count: usize) -> Vec<Connection> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut connection = Connection { stream: connect_from(source, address).await };
        connection.write(GET).await;
        assert_eq!(connection.response().await.1, "hello");
        held.push(connection);
    }
    held
}

fn refused(gateway: &Gateway) -> u64 {
    let series =
        r#"edgewit_connections_refused_total{listener="web",reason="connections-per-client"} "#;
    let text = gateway.metrics.text();
    let value = text.lines().find_map(|line| line.strip_prefix(series).map(str::to_owned));
    value.map_or(0, |value| value.parse().unwrap())
}

async fn is_closed(mut stream: TcpStream) -> bool {
    let _ = stream.write_all(CLOSE.as_bytes()).await;
    let mut out = Vec::new();
    let _ = within(stream.read_to_end(&mut out)).await; // a reset is an end too
    out.is_empty()
}

#[tokio::test]
async fn f2_one_client_cannot_take_all_connections() {
    let gateway = hello(bounded(20, 5));
    let held = hold(gateway.address, [127, 0, 0, 2], 5).await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(connect_from([127, 0, 0, 2], gateway.address).await);
    }
    for stream in flood {
        assert!(is_closed(stream).await);
    }
    assert_eq!(refused(&gateway), 100);
    assert!(talk(gateway.address, CLOSE).await.ends_with("hello"), "others are served");
    drop(held);
    until("its connections are gone", || gateway.proxy.connections() == 0).await;
    drop(hold(gateway.address, [127, 0, 0, 2], 5).await);
}

#[tokio::test]
async fn a_client_that_has_its_share_does_not_get_as_far_as_a_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let files = authority.issue(&["a.test"]).write(folder.path(), "a");
    let tls = Some(ListenerTls::new(files.cert, files.key));
    let gateway = hello(Listener { tls, ..bounded(20, 1) });
    let client = TlsClient::trusting(&authority).build();
    let held = client.connect(gateway.address, "a.test").await.unwrap();
    assert!(client.connect(gateway.address, "a.test").await.is_err());
    assert_eq!(refused(&gateway), 1);
    drop(held);
    until("it is gone", || gateway.proxy.connections() == 0).await;
    assert!(client.get(gateway.address, "a.test", "a.test").await.unwrap().ends_with("hello"));
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_many() {
    let trusted_proxies = vec!["127.0.0.2".parse().unwrap()];
    let gateway = hello(Listener { trusted_proxies, ..bounded(20, 1) });
    let _held = hold(gateway.address, [127, 0, 0, 2], 10).await;
    let _other = hold(gateway.address, [127, 0, 0, 3], 1).await;
    assert!(is_closed(connect_from([127, 0, 0, 3], gateway.address).await).await);
}

#[tokio::test]
async fn behind_a_balancer_the_client_in_the_header_counts() {
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let gateway = hello(Listener { proxy_protocol: true, trusted_proxies, ..bounded(20, 1) });
    let connect = async |client: &str| {
        let mut connection = Connection::new(gateway.address).await;
        connection.write(format!("PROXY TCP4 {client} 10.0.0.1 1 2\r\n{GET}")).await;
        connection
    };
    let mut first = connect("192.0.2.1").await;
    assert_eq!(first.response().await.1, "hello");
    assert!(connect("192.0.2.1").await.rest().await.0.is_empty());
    assert_eq!(connect("192.0.2.2").await.response().await.1, "hello");
    assert_eq!(refused(&gateway), 1);
}

#[tokio::test]
async fn a_limit_that_changes_holds_for_the_next_connection() {
    let gateway = hello(bounded(20, 1));
    let mut held = hold(gateway.address, [127, 0, 0, 1], 1).await;
    let mut wider = gateway.listeners.clone();
    wider.values_mut().for_each(|l| l.limits.connections_per_client = 2);
    gateway.proxy.apply(&wider, gateway.proxy.snapshot()).unwrap();
    held.extend(hold(gateway.address, [127, 0, 0, 1], 1).await);
    gateway.proxy.apply(&gateway.listeners, gateway.proxy.snapshot()).unwrap();
    assert!(is_closed(connect_from([127, 0, 0, 1], gateway.address).await).await);
    for connection in &mut held {
        connection.write(GET).await;
        assert_eq!(connection.response().await.1, "hello", "who is in stays in");
    }
    assert_eq!(refused(&gateway), 1, "the count goes on over a reload");
}
