//! What a filter that spins costs the requests of its neighbours.

use std::time::{Duration, Instant};

use edgewit_harness::{Connection, Load, Origin, Protocol, Setup, get};

use crate::common::{all, assert_status, plugin, route, upstream, with};
use crate::guest;

/// Requests of the neighbour in each measurement.
const REQUESTS: usize = 600;

/// The sorted times of a neighbour's requests, one after the other.
fn times(client: &mut Connection) -> Vec<Duration> {
    let mut times: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let begun = Instant::now();
            assert_status(&client.send(get("/innocent")), 200);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

#[test]
fn neighbours_of_a_spinner_hardly_wait() {
    let origin = Origin::echo();
    let toml = all([
        upstream("origin", &origin),
        route("innocent", "/innocent", &with("marker", "name = \"m\"")),
        route("spin", "/spin", "\"spin\""),
        // In quarantine it would not be called at all.
        plugin("spin", "quarantine = \"off\"\nlimits = { fuel = 1_000_000_000_000 }"),
    ]);
    // One worker, so that everybody meets the spinner, which has its default of 50 ms for each call.
    let setup = Setup::new(toml).server("workers = 1\n").limits("request-fuel = 1_000_000_000_000");
    let gateway = setup.guest(guest::MARKER).guest(guest::SPIN).start();
    let mut client = gateway.connect();
    let quiet = times(&mut client);
    let spin = get("/spin").header("x-act", "request");
    let judge = |reply: &edgewit_harness::Reply| match reply.status {
        503 => Ok(()),
        status => Err(format!("{status}")),
    };
    let load = Load::start(gateway.address(), Protocol::H1, 1, spin, judge);
    load.let_pass(20);
    let beside = times(&mut client);
    load.stop().assert_clean();
    let share = |times: &[Duration], percent: usize| times[times.len() * percent / 100 - 1];
    println!(
        "quiet: p50 {:?} p99 {:?}; beside a spinner: p50 {:?} p99 {:?} max {:?}",
        share(&quiet, 50),
        share(&quiet, 99),
        share(&beside, 50),
        share(&beside, 99),
        share(&beside, 100),
    );
    // A request needs its worker a few times. Without a bound each would come behind a spin of 50 ms.
    let bound = share(&quiet, 50) + Duration::from_millis(40);
    assert!(share(&beside, 50) < bound, "{:?}, quiet {:?}", share(&beside, 50), share(&quiet, 50));
}
