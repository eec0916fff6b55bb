//! What a filter that computes long costs the requests of its neighbours.

use std::time::{Duration, Instant};

use edgewit_harness::{
    Connection, Gateway, Load, Origin, Protocol, Reply, Setup, get, until_or_tell,
};

use crate::common::{all, assert_status, plugin, route, upstream, with};
use crate::guest;

/// Connections of neighbours.
const NEIGHBOURS: usize = 100;
/// Requests on each of them in one measurement.
const ROUNDS: usize = 5;
/// What the neighbours may notice: two ticks.
const NOTICED: Duration = Duration::from_millis(2);
/// Measurements, of which one has to be good. A single request that the machine itself holds up by more than two ticks, which
/// happens all the time where other tests run beside this one, may spoil one; a worker that a filter holds spoils all.
const TRIES: usize = 20;

/// Connections of the load.
const SPINNERS: usize = 4;

/// A gateway with one worker, so that everybody meets everybody.
fn gateway(origin: &Origin) -> Gateway {
    let toml = all([
        upstream("origin", origin),
        route("innocent", "/innocent", &with("marker", "name = \"m\"")),
        route("spin", "/spin", "\"spin\""),
        route("burn", "/burn", &with("burn", "rounds = 10_000_000")),
        // In quarantine it would not be called at all.
        plugin("spin", "quarantine = \"off\"\nlimits = { fuel = 1_000_000_000_000 }"),
        plugin("burn", "limits = { fuel = 1_000_000_000_000, time = \"5s\" }"),
    ]);
    let setup = Setup::new(toml).server("workers = 1\n").limits("request-fuel = 1_000_000_000_000");
    setup.guest(guest::MARKER).guest(guest::SPIN).guest(guest::BURN).start()
}

/// The sorted times of the neighbours' requests, one after the other.
fn times(neighbours: &mut [Connection]) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        for neighbour in &mut *neighbours {
            let begun = Instant::now();
            assert_status(&neighbour.send(get("/innocent")), 200);
            times.push(begun.elapsed());
        }
    }
    times.sort_unstable();
    times
}

fn share(times: &[Duration], percent: usize) -> Duration {
    times[times.len() * percent / 100 - 1]
}

/// Measures neighbours with and without this load until neither most of them nor 99 of 100 notice it.
fn check(gateway: &Gateway, path: &str, status: u16) {
    let mut neighbours: Vec<_> = (0..NEIGHBOURS).map(|_| gateway.connect()).collect();
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let quiet = times(&mut neighbours);
        let judge = move |reply: &Reply| match reply.status {
            found if found == status => Ok(()),
            found => Err(format!("{found}")),
        };
        let ask = get(path).header("x-act", "request");
        let load = Load::start(gateway.address(), Protocol::H1, SPINNERS, ask, judge);
        load.let_pass(SPINNERS as u64);
        let beside = times(&mut neighbours);
        load.let_pass(2 * SPINNERS as u64); // it went on all the time
        load.stop().assert_clean();
        let line = [&quiet, &beside].map(|t| [50, 99, 100].map(|percent| share(t, percent)));
        println!("{path}: p50, p99, maximum when quiet and beside it: {line:?}");
        if [50, 99].iter().all(|n| share(&beside, *n) <= share(&quiet, *n) + NOTICED) {
            return;
        }
        seen.push(line);
    }
    panic!("neighbours notice {path}: {seen:#?}");
}

fn aside(gateway: &Gateway, plugin: &str) -> f64 {
    gateway.metrics().sum("edgewit_filter_aside_total", &[("plugin", plugin)])
}

#[test]
fn neighbours_of_a_spinner_hardly_wait() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    check(&gateway, "/spin", 503);
    // It had its limit each time.
    let stops = [("plugin", "spin"), ("reason", "time")];
    let stops = gateway.metrics().sum("edgewit_filter_stops_total", &stops);
    let held = gateway.log.with(&["filter stopped", "limit 50"]).len();
    assert!(stops >= 3.0 * SPINNERS as f64 && held >= 1, "{stops} stops");
    assert!(aside(&gateway, "spin") >= stops - 5.0, "of {stops}");
}

#[test]
fn neighbours_of_an_honest_filter_that_computes_long_hardly_wait() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    check(&gateway, "/burn", 200);
    assert!(aside(&gateway, "burn") >= SPINNERS as f64);
}

#[test]
fn a_call_on_the_lane_costs_and_does_what_it_does_on_a_worker() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let count = |name: &str| gateway.metrics().sum(name, &[("plugin", "burn")]);
    let mut client = gateway.connect();
    let mut burn = || {
        let reply = client.send(get("/burn"));
        assert_status(&reply, 200);
        reply.echoed("x-burnt")
    };
    let burnt = burn();
    let fuel = count("edgewit_filter_fuel_sum");
    assert!(fuel > 10_000_000.0, "{fuel}");
    assert_eq!(aside(&gateway, "burn"), 0.0, "nobody knew");
    for n in 1..=10 {
        assert_eq!(burn(), burnt);
        assert_eq!(aside(&gateway, "burn"), f64::from(n));
    }
    assert_eq!(count("edgewit_filter_fuel_sum"), 11.0 * fuel);
    assert_eq!(count("edgewit_filter_duration_seconds_count"), 11.0);
    assert_eq!(count("edgewit_filter_stops_total"), 0.0);
    let same = [r#""route":"burn""#, &format!(r#""fuel":{fuel},"#)];
    let what = || format!("11 lines with {same:?} in {:#?}", gateway.access.all());
    until_or_tell(what, || (gateway.access.with(&same).len() == 11).then_some(()));
}
