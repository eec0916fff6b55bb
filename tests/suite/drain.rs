//! The end of a gateway.

use std::time::Duration;

use edgewit_harness::{Origin, Protocol, Setup, get, spawn, until};
use rustix::process::Signal;

use crate::common::through;
use crate::guest;

#[test]
fn requests_in_flight_are_finished_after_sigterm() {
    let origin = Origin::slow(Duration::from_millis(500));
    let toml = through(&origin, "\"marker\"") + "[plugins.marker]\nconfig = { name = \"m\" }\n";
    let mut gateway = Setup::new(toml).guest(guest::MARKER).start();
    let ask = |protocol| {
        let mut connection = gateway.connect_by(protocol);
        spawn(async move { connection.try_send(get("/")).await.map(|reply| reply.status) })
    };
    let asked: Vec<_> =
        (0..20).map(|n| ask(if n % 2 == 0 { Protocol::H1 } else { Protocol::H2 })).collect();
    until("all requests to be in flight", || (origin.seen().len() == 20).then_some(()));
    gateway.signal(Signal::TERM);
    for request in asked {
        let status = edgewit_harness::block_on(request).unwrap();
        assert_eq!(status.expect("a request in flight is answered"), 200);
    }
    assert!(gateway.wait().success());
    gateway.log.wait_for(&["every connection is finished"]);
}

#[test]
fn it_says_that_it_drains_and_still_accepts_for_a_while() {
    let toml = "[routes.all]\nmatch = \"/\"\nrespond = {}\n";
    let mut gateway =
        Setup::new(toml).server("drain-delay = \"3s\"\ndrain-timeout = \"5s\"\n").start();
    gateway.signal(Signal::TERM);
    until("readyz to say no", || (gateway.ask_admin("/readyz").status == 503).then_some(()));
    assert_eq!(gateway.get("/").status, 200, "balancers need time to notice");
    assert_eq!(gateway.ask_admin("/livez").status, 200);
    assert!(gateway.wait().success());
}

#[test]
fn a_stream_that_does_not_end_is_cut_when_the_time_is_over() {
    let (origin, mut streams) = Origin::streaming();
    let server = "drain-delay = \"10ms\"\ndrain-timeout = \"300ms\"\n";
    let mut gateway = Setup::new(through(&origin, "")).server(server).start();
    let mut client = gateway.raw();
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let parts = until("the origin to be asked", || streams.try_recv().ok());
    parts.send(Ok(hyper::body::Frame::data("some".into()))).unwrap();
    client.read_until("some");
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    gateway.log.wait_for(&["the time is over"]);
    assert!(!client.read_to_end().contains("0\r\n\r\n"), "never a clean end");
}
