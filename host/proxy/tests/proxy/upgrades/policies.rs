//! Leaving HTTP on routes that do much else.

use std::time::Duration;

use bytes::Bytes;
use edgewit_chain::{BodyMode, BodyVerdict, Needs};
use edgewit_model::{Compress, Fault, Hedge};
use http::StatusCode;

use super::{ASK, SWITCH, connect, echo, exchange, websockets};
use crate::support::{
    Backend, Connection, Gateway, Native, answer, forward_to, listener, route, until, upstream,
};

fn of_bodies(verdict: fn(&[u8], bool) -> BodyVerdict) -> Native {
    Native {
        needs: Needs { request_body: BodyMode::Stream, ..Needs::default() },
        on_request_body: Some(Box::new(move |chunk, end| Ok(verdict(chunk, end)))),
        ..Native::default()
    }
}

fn filtered(backend: &Backend, filter: Native) -> Gateway {
    let upstream = upstream("u", &[backend.address]);
    let mut to = route(forward_to(&[&upstream]));
    websockets(&mut to);
    Gateway::new(listener(), vec![(to, vec![filter.into_filter()], vec![upstream])])
}

#[tokio::test]
async fn a_filter_of_bodies_adds_no_framing_to_a_request_that_has_none() {
    let backend = Backend::answering(SWITCH).await;
    let gateway = filtered(&backend, of_bodies(|_, _| BodyVerdict::Pass));
    let mut client = Connection::new(gateway.address).await;
    client.write(ASK).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    let heads = backend.heads();
    assert!(!heads[0].contains("transfer-encoding"), "{heads:?}");
    assert!(!heads[0].contains("content-length"), "{heads:?}");
    // And the other protocol really begins with what the client says.
    let echo = echo().await;
    let gateway = filtered(&echo, of_bodies(|_, _| BodyVerdict::Pass));
    exchange(&mut connect(&gateway).await).await;
}

#[tokio::test]
async fn a_filter_that_makes_up_a_body_gets_no_upgrade() {
    let backend = Backend::answering(SWITCH).await;
    let made =
        |_: &[u8], _| BodyVerdict::Replace(Bytes::from_static(b"GET /admin HTTP/1.1\r\n\r\n"));
    let gateway = filtered(&backend, of_bodies(made));
    let mut client = Connection::new(gateway.address).await;
    client.write(ASK).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(backend.heads().is_empty());
}

#[tokio::test]
async fn a_filter_of_bodies_may_refuse_an_upgrade() {
    let backend = Backend::answering(SWITCH).await;
    let gateway = filtered(&backend, of_bodies(|_, _| BodyVerdict::Answer(answer(403, ""))));
    let mut client = Connection::new(gateway.address).await;
    client.write(ASK).await;
    assert!(client.head().await.starts_with("HTTP/1.1 403 "));
    assert!(backend.heads().is_empty());
}

#[tokio::test]
async fn an_upgrade_passes_a_route_that_does_everything_else_too() {
    let backend = echo().await;
    let gateway = Gateway::changed(&backend, |route| {
        websockets(route);
        route.compress = Some(Compress::default());
        route.fault = Some(Fault { delay: Some((Duration::from_millis(5), 100)), abort: None });
        route.retry.attempts = 3;
        route.retry.hedge = Some(Hedge { after: Duration::from_millis(1), most: 3 });
    });
    let mut socket = connect(&gateway).await;
    exchange(&mut socket).await;
    drop(socket);
    until("it has ended", || gateway.metrics.text().contains("edgewit_tunnels 0")).await;
}

/// A 101 of somebody who is no upstream opens nothing.
#[tokio::test]
async fn a_filter_cannot_open_a_tunnel_that_leads_nowhere() {
    let backend = Backend::ok().await;
    let changed = Native {
        on_response: Some(Box::new(|_| {
            Ok(edgewit_chain::ResponseVerdict::Replace(answer(101, "hello")))
        })),
        ..Native::default()
    };
    let gateway = filtered(&backend, changed);
    let mut client = Connection::new(gateway.address).await;
    client.write(ASK).await;
    let head = client.head().await;
    let status = StatusCode::from_bytes(&head.as_bytes()[9..12]).unwrap();
    assert!(status.is_server_error(), "{head}");
}
