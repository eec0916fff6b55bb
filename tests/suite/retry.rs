//! The phase `retry`.

use std::sync::atomic::{AtomicU32, Ordering};

use edgewit_harness::{Gateway, Origin, Script, Setup, get, post};

use crate::common::{assert_status, through};
use crate::guest;

/// An origin that answers 503 as often as asked, then 200.
fn flaky(failures: u32) -> Origin {
    let asked = AtomicU32::new(0);
    Origin::answering(move |_| {
        let status = if asked.fetch_add(1, Ordering::Relaxed) < failures { 503 } else { 200 };
        http::Response::builder()
            .status(status)
            .header("x-reason", "busy")
            .body("origin".into())
            .unwrap()
    })
}

fn judged(origin: &Origin) -> Gateway {
    let toml = through(origin, r#""judge""#) + "retry = { attempts = 4, budget = \"100%\" }\n";
    Setup::new(toml).guest(guest::JUDGE).start()
}

#[test]
fn attempts_follow_while_the_filter_proposes_them() {
    let origin = flaky(2);
    let reply = judged(&origin).get("/");
    assert_status(&reply, 200);
    assert_eq!(reply.header("x-judged"), "1=503/busy 2=503/busy 3=200/busy");
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn the_last_attempt_is_what_the_client_gets() {
    let origin = flaky(100);
    let reply = judged(&origin).get("/");
    assert_eq!((reply.status, reply.text().as_str()), (503, "origin"));
    assert_eq!(origin.seen().len(), 4);
}

#[test]
fn a_request_that_may_have_had_an_effect_is_not_repeated() {
    let origin = flaky(2);
    let gateway = judged(&origin);
    let reply = gateway.send(post("/", "once"));
    assert_status(&reply, 503);
    assert_eq!(origin.seen().len(), 1);
    let put = gateway.send(edgewit_harness::ask("PUT", "/").body("again"));
    assert_status(&put, 200);
    assert!(origin.seen()[1..].iter().all(|seen| seen.body == "again" && seen.whole));
}

#[test]
fn a_broken_connection_is_judged_too() {
    let broken = Script::play(vec![
        Box::new(|mut client| drop(client.read_until("\r\n\r\n"))),
        Box::new(|mut client| {
            client.read_until("\r\n\r\n");
            client.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            client.read_to_end();
        }),
    ]);
    let toml = format!(
        "[upstreams.origin]\nservers = [\"{}\"]\n[routes.all]\nmatch = \"/{{*rest}}\"\nupstream = \"origin\"\n\
         filters = [\"judge\"]\nretry = {{ attempts = 4, budget = \"100%\" }}\n",
        broken.url()
    );
    let gateway = Setup::new(toml).guest(guest::JUDGE).start();
    let reply = gateway.send(get("/"));
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
    assert_eq!(reply.header("x-judged"), "1=Some(Failure::Reset) 2=200");
}
