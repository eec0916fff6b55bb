//! Connections of HTTP/2 end when they have nothing left to do, whatever their client thinks of it.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::Request;
use tokio::net::TcpStream;

use crate::support::{Backend, Gateway, hello, listener, until, within};

type Client = h2::client::SendRequest<Bytes>;
type Driver = h2::client::Connection<TcpStream, Bytes>;

async fn client(gateway: &Gateway, window: u32) -> (Client, Driver) {
    let stream = within(TcpStream::connect(gateway.address)).await.unwrap();
    let mut builder = h2::client::Builder::new();
    within(builder.initial_window_size(window).handshake(stream)).await.unwrap()
}

/// Drives a connection only until something has come.
async fn driven<T>(driver: &mut Driver, until: impl Future<Output = T>) -> T {
    within(async {
        let mut until = std::pin::pin!(until);
        tokio::select! {
            biased;
            value = until.as_mut() => value,
            _ = driver => until.await, // what has come is there
        }
    })
    .await
}

async fn get(sender: &mut Client, driver: &mut Driver) -> h2::RecvStream {
    let request = Request::get("http://a/").body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    driven(driver, response).await.unwrap().into_body()
}

const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_idle_connection_ends_at_once() {
    let gateway = hello(listener());
    let (mut sender, mut driver) = client(&gateway, 65_535).await;
    let mut body = get(&mut sender, &mut driver).await;
    driven(&mut driver, async { while body.data().await.is_some() {} }).await;
    let driving = tokio::spawn(driver);
    let begun = std::time::Instant::now();
    assert_eq!(within(gateway.proxy.drain(Duration::ZERO, PATIENCE)).await, 0);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let _ = within(driving).await.unwrap();
    drop(sender);
}

/// It neither answers the ping that goes with GOAWAY nor closes: whoever is suspended does that.
#[tokio::test]
async fn a_client_that_says_nothing_does_not_hold_a_drain() {
    let gateway = hello(listener());
    let (mut sender, mut driver) = client(&gateway, 65_535).await;
    let mut body = get(&mut sender, &mut driver).await;
    driven(&mut driver, async { while body.data().await.is_some() {} }).await;
    assert_eq!(within(gateway.proxy.drain(Duration::ZERO, PATIENCE)).await, 0);
    drop((sender, driver));
}

/// What waits in the gateway for a window is not thrown away because nothing else is to be done.
#[tokio::test]
async fn a_slow_client_gets_all_of_its_response_in_a_drain() {
    const SIZE: usize = 8_000;
    let text = "x".repeat(SIZE);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n{text}");
    let backend = Backend::answering(answer).await;
    let gateway = Gateway::to(&backend);
    let (mut sender, mut driver) = client(&gateway, 1_000).await;
    let mut body = get(&mut sender, &mut driver).await;
    until("all is with us", || gateway.metrics.text().contains("http_server_active_requests 0"))
        .await;
    let drain = gateway.proxy.drain(Duration::ZERO, PATIENCE);
    let read = async {
        tokio::time::sleep(Duration::from_secs(8)).await; // longer than somebody silent is waited for
        let mut read = 0;
        driven(&mut driver, async {
            while let Some(data) = body.data().await {
                let length = data.expect("it is not cut").len();
                read += length;
                let _ = body.flow_control().release_capacity(length);
            }
        })
        .await;
        drop(driver);
        read
    };
    let (open, read) = tokio::join!(drain, read);
    assert_eq!((open, read), (0, SIZE));
    drop(sender);
}
