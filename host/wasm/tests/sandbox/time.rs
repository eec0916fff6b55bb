//! Time that is fair: a filter is stopped for what it computes, not for what others compute.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use edgewit_chain::{Filter, Phase, StopReason};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    bench::{Bench, call, plugin},
    guest::of_request,
};

const LIMIT: Duration = Duration::from_millis(100);

fn cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// Computes as long as the state's first byte says, in hundreds of thousands of rounds; 255: without end.
const WORK: &str = r#"
    (func $work (param $rounds i32)
        (loop $more
            (if (i32.eq (local.get $rounds) (i32.const 25500000)) (then (br $more)))
            (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
            (br_if $more (local.get $rounds))))"#;
const BODY: &str = "(call $work (i32.mul (i32.load8_u (local.get 4)) (i32.const 100000)))";

fn worker() -> edgewit_model::Plugin {
    let mut plugin = plugin("work");
    plugin.limits.time = LIMIT;
    plugin.limits.fuel = u64::MAX / 4;
    plugin
}

#[test]
fn an_honest_filter_on_a_busy_machine_is_not_stopped() {
    let bench = Bench::new(4);
    let filter = bench.load(&of_request(WORK, BODY), &worker()).unwrap();
    let calls = |rounds: u8| {
        let mut instance = filter.start().unwrap();
        let (wall, before) = (Instant::now(), cpu());
        call(&filter, &mut *instance, Phase::Request, &[rounds]).unwrap();
        (wall.elapsed(), cpu() - before)
    };
    // Work of about a third of the limit, whatever this machine is.
    let rounds = (1..=254).find(|n| calls(*n).1 > LIMIT / 4).expect("a machine of this century");
    let stop = AtomicBool::new(false);
    let threads = 12 * thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    black_box(0);
                }
            });
        }
        let took: Vec<_> = (0..10).map(|_| calls(rounds)).collect();
        stop.store(true, Ordering::Relaxed);
        let longest = took.iter().map(|(wall, _)| *wall).max().unwrap();
        assert!(longest > LIMIT, "the machine was not busy enough to show anything: {took:?}");
    });
}

#[test]
fn a_spinner_is_stopped_when_it_has_computed_for_its_limit() {
    let bench = Bench::new(4);
    let filter = bench.load(&of_request(WORK, BODY), &worker()).unwrap();
    let mut instance = filter.start().unwrap();
    let before = cpu();
    let stop = call(&filter, &mut *instance, Phase::Request, &[255]).unwrap_err();
    let took = cpu() - before;
    assert_eq!(stop.reason, StopReason::Time);
    assert!(stop.detail.contains("ms, limit 100"), "{}", stop.detail);
    assert!((LIMIT..LIMIT * 5).contains(&took), "{took:?}");
}

#[test]
fn a_filter_that_always_spins_is_soon_refused_without_being_run() {
    let bench = Bench::new(4);
    let mut plugin = worker();
    plugin.limits.time = Duration::from_millis(20);
    let filter = bench.load(&of_request(WORK, BODY), &plugin).unwrap();
    let spin = || {
        let mut instance = filter.start()?;
        call(&filter, &mut *instance, Phase::Request, &[255])
    };
    let before = cpu();
    let refused: Vec<bool> = (0..200)
        .map(|_| {
            let stop = spin().unwrap_err();
            assert_eq!(stop.reason, StopReason::Time);
            stop.detail.starts_with("not run")
        })
        .collect();
    let run = refused.iter().filter(|refused| !**refused).count();
    assert!((8..20).contains(&run), "{run} of 200 were run, {:?}", cpu() - before);
    // Its other workers have not met it.
    let elsewhere = thread::scope(|scope| scope.spawn(|| filter.start().map(drop)).join());
    elsewhere.unwrap().unwrap();
}
