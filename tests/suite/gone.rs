//! Clients that go away at any moment of an exchange with filters.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use edgewit_harness::{Gateway, Origin, Setup, post, until_or_tell};

use crate::common::{all, assert_status, plugin, route, upstream, with};
use crate::guest;

/// Exchanges that are left.
const CLIENTS: usize = 1_000;
/// As many at a time.
const THREADS: usize = 4;

/// Leaves an exchange at the moment that `n` stands for.
fn leave(gateway: &Gateway, n: usize) -> std::io::Result<()> {
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4000\r\n\r\n";
    let body = [b'x'; 4_000];
    let mut client = TcpStream::connect(gateway.address())?;
    // In the head, after it, at each part of the body, when all is sent, in the response.
    let sent = match n % 10 {
        0 => 20,
        part @ 1..=7 => head.len() + (part - 1) * 600,
        _ => head.len() + body.len(),
    };
    let whole = [head.as_slice(), &body].concat();
    client.write_all(&whole[..sent])?;
    if n % 10 == 9 {
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        let _ = client.read(&mut [0; 16])?;
    }
    // While a filter runs, while the origin is waited for, while its response comes.
    thread::sleep(Duration::from_micros((n as u64 * 997) % 20_000));
    if n.is_multiple_of(3) {
        client.shutdown(Shutdown::Write)?; // and the rest by dropping it, which is a reset if there is something to read
    }
    Ok(())
}

#[test]
fn clients_that_go_away_at_any_moment_leave_nothing_behind() {
    let origin = Origin::slow(Duration::from_millis(8));
    let filters = ["\"state\"".to_owned(), with("burn", "rounds = 100_000")].join(", ");
    let toml = all([
        upstream("origin", &origin),
        route("all", "/", &filters),
        plugin("state", "isolation = \"request\""),
    ]);
    let gateway = Setup::new(toml).guest(guest::STATE).guest(guest::BURN).start();
    assert_status(&gateway.send(post("/", "body")), 200);
    let alive = || gateway.metrics().sum("edgewit_instances", &[("state", "alive")]);
    let files = gateway.open_files();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let gateway = &gateway;
            scope.spawn(move || {
                for n in (thread..CLIENTS).step_by(THREADS) {
                    leave(gateway, n).unwrap_or_else(|error| panic!("client {n}: {error}"));
                }
            });
        }
    });
    assert_status(&gateway.send(post("/", "body")), 200);
    let what = || format!("{} instances, {} files", alive(), gateway.open_files());
    until_or_tell(what, || (alive() == 0.0 && gateway.open_files() <= files + 8).then_some(()));
    let panics = gateway.log.with(&["panick"]);
    assert!(panics.is_empty(), "{panics:#?}");
    assert!(gateway.log.with(&["filter stopped"]).is_empty(), "nobody is stopped for that");
}
