//! What one request leaves behind for the next: nothing, unless the operator wants it so.

use edgewit_harness::{Origin, Setup, get};

use crate::common::{plugin, through};
use crate::guest;

fn counts(isolation: &str, requests: usize) -> Vec<u32> {
    let origin = Origin::echo();
    let toml = through(&origin, "\"counter\"") + &plugin("counter", isolation);
    // One worker, so that all requests meet the same instance if there is one.
    let gateway = Setup::new(toml).server("workers = 1\n").guest(guest::COUNTER).start();
    let mut connection = gateway.connect();
    let count = |_| connection.send(get("/")).header("x-count").parse().unwrap();
    (0..requests).map(count).collect()
}

#[test]
fn state_of_one_request_is_invisible_to_the_next() {
    assert_eq!(counts("", 20), [1; 20]);
    assert_eq!(counts("isolation = \"request\"", 20), [1; 20]);
}

#[test]
fn an_instance_of_a_worker_is_reused() {
    assert_eq!(counts("isolation = \"worker\"", 5), [1, 2, 3, 4, 5]);
}

#[test]
fn an_instance_of_a_worker_is_replaced_in_time() {
    let counts = counts("isolation = { worker = { recycle = 3 } }", 8);
    assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1, 2]);
}

#[test]
fn fresh_memory_is_zero() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"stale\"");
    let gateway = Setup::new(toml).guest(guest::STALE).start();
    let mut connection = gateway.connect();
    for n in 0..300 {
        assert_eq!(connection.send(get("/")).header("x-stale"), "0", "request {n}");
    }
}
