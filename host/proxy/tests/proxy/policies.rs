//! Faults on purpose, and limits of single routes.

use std::time::{Duration, Instant};

use edgewit_model::Fault;
use http::StatusCode;

use crate::support::{
    Backend, Connection, Gateway, Native, answer, forward_to, listener, route, talk, until,
    upstream,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn delay(millis: u64, percent: u32) -> Option<Fault> {
    Some(Fault { delay: Some((Duration::from_millis(millis), percent)), abort: None })
}

#[tokio::test]
async fn an_abort_answers_in_the_place_of_the_upstream() {
    let backend = Backend::ok().await;
    let abort = Some((StatusCode::IM_A_TEAPOT, 100));
    let gateway =
        Gateway::changed(&backend, |route| route.fault = Some(Fault { delay: None, abort }));
    for _ in 0..3 {
        assert!(talk(gateway.address, GET).await.starts_with("HTTP/1.1 418 "));
    }
    assert!(backend.heads().is_empty());
    let text = gateway.metrics.text();
    assert!(text.contains(r#"edgewit_faults_total{route="r",kind="abort"} 3"#), "{text}");
    assert!(text.contains(r#"edgewit_faults_total{route="r",kind="delay"} 0"#), "{text}");
}

#[tokio::test]
async fn a_delay_comes_before_the_upstream_is_asked() {
    let backend = Backend::ok().await;
    let gateway = Gateway::changed(&backend, |route| route.fault = delay(300, 100));
    let begun = Instant::now();
    assert!(talk(gateway.address, GET).await.ends_with("ok"));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(gateway.metrics.text().contains(r#"edgewit_faults_total{route="r",kind="delay"} 1"#));
}

#[tokio::test]
async fn a_delay_beyond_the_timeout_is_a_504() {
    let backend = Backend::ok().await;
    let gateway = Gateway::changed(&backend, |route| {
        route.timeout = Duration::from_millis(50);
        route.fault = delay(200, 100);
    });
    let response = talk(gateway.address, GET).await;
    assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
    assert!(backend.heads().is_empty());
}

#[tokio::test]
async fn a_delay_ends_when_the_client_goes() {
    let backend = Backend::ok().await;
    let gateway = Gateway::changed(&backend, |route| route.fault = delay(600_000, 100));
    let mut client = Connection::new(gateway.address).await;
    client.write(GET).await;
    let active = |count: u32| {
        let line = format!("http_server_active_requests {count}\n");
        let metrics = gateway.metrics.clone();
        move || metrics.text().contains(&line)
    };
    until("the request waits", active(1)).await;
    drop(client);
    until("the request has ended", active(0)).await;
    assert!(backend.heads().is_empty());
}

#[tokio::test]
async fn faults_are_for_a_share_and_for_those_who_may_come_in() {
    let backend = Backend::ok().await;
    let share =
        |percent| Some(Fault { delay: None, abort: Some((StatusCode::BAD_GATEWAY, percent)) });
    let none = Gateway::changed(&backend, |route| route.fault = share(0));
    let half = Gateway::changed(&backend, |route| route.fault = share(50));
    let mut failed = 0;
    for _ in 0..60 {
        assert!(talk(none.address, GET).await.starts_with("HTTP/1.1 200 "));
        failed += usize::from(talk(half.address, GET).await.starts_with("HTTP/1.1 502 "));
    }
    assert!((5..=55).contains(&failed), "{failed}"); // missed once in 10^11 runs
    let door = Native {
        on_request: Some(Box::new(|_| Ok(edgewit_chain::RequestVerdict::Answer(answer(401, ""))))),
        ..Native::default()
    };
    let upstream = upstream("u", &[backend.address]);
    let mut own = route(forward_to(&[&upstream]));
    own.fault = share(100);
    let gateway = Gateway::new(listener(), vec![(own, vec![door.into_filter()], vec![upstream])]);
    assert!(talk(gateway.address, GET).await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_route_may_be_less_patient_with_uploads_than_its_listener() {
    let backend = Backend::new(|mut stream, _| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let gateway =
        Gateway::changed(&backend, |route| route.stall = Some(Duration::from_millis(200)));
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
    let response = talk(gateway.address, request).await; // the listener's own limit is 30 s
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
}
