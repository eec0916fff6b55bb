//! Time that is fair: a filter is stopped for what it computes, not for what others compute.

use std::{
    hint::black_box,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use edgewit_chain::{Filter, Phase, StopReason};
use edgewit_wasm::WasmFilter;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    bench::{Bench, call, plugin},
    guest::of_request,
};

const LIMIT: Duration = Duration::from_millis(200);

/// These tests measure time, so that they run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// Computes as long as the state's first byte says, in millions of rounds; 255: without end.
const WORK: &str = r#"
    (func $work (param $rounds i32)
        (if (i32.eqz (local.get $rounds)) (then (return)))
        (loop $more
            (if (i32.eq (local.get $rounds) (i32.const 255000000)) (then (br $more)))
            (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
            (br_if $more (local.get $rounds))))"#;
const BODY: &str = "(call $work (i32.mul (i32.load8_u (local.get 4)) (i32.const 1000000)))";

fn worker() -> edgewit_model::Plugin {
    let mut plugin = plugin("work");
    plugin.limits.time = LIMIT;
    plugin.limits.fuel = u64::MAX / 4;
    plugin
}

/// Ends the threads that make the machine busy, also when the test fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_honest_filter_on_a_busy_machine_is_not_stopped() {
    let _alone = alone();
    let bench = Bench::new(4);
    let filter = bench.load(&of_request(WORK, BODY), &worker()).unwrap();
    let calls = |rounds: u8| {
        let mut instance = filter.start().unwrap();
        let (wall, before) = (Instant::now(), cpu());
        call(&filter, &mut *instance, Phase::Request, &[rounds]).unwrap();
        (wall.elapsed(), cpu() - before)
    };
    // Work of about a fifth of the limit, whatever this machine is.
    let rounds = (1..=254).find(|n| calls(*n).1 > LIMIT / 5).expect("a machine of this century");
    let stop = AtomicBool::new(false);
    let threads = 6 * thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    black_box(0);
                }
            });
        }
        let _ended = Ended(&stop);
        let took: Vec<_> = (0..5).map(|_| calls(rounds)).collect();
        let longest = took.iter().map(|(wall, _)| *wall).max().unwrap();
        assert!(longest > LIMIT, "the machine was not busy enough to show anything: {took:?}");
    });
}

#[test]
fn a_spinner_is_stopped_when_it_has_computed_for_its_limit() {
    let _alone = alone();
    let bench = Bench::new(4);
    let filter = bench.load(&of_request(WORK, BODY), &worker()).unwrap();
    let mut instance = filter.start().unwrap();
    let before = cpu();
    let stop = call(&filter, &mut *instance, Phase::Request, &[255]).unwrap_err();
    let took = cpu() - before;
    assert_eq!(stop.reason, StopReason::Time);
    assert!(stop.detail.contains("ms, limit 200"), "{}", stop.detail);
    assert!((LIMIT..LIMIT * 3).contains(&took), "{took:?}");
}

#[test]
fn a_filter_whose_calls_compute_long_is_slow_until_it_was_quiet() {
    let _alone = alone();
    let bench = Bench::new(4);
    let mut plugin = worker();
    plugin.limits.time = Duration::from_millis(20);
    let ask = |filter: &WasmFilter, rounds: u8| {
        let mut instance = filter.start().unwrap();
        let before = cpu();
        (call(filter, &mut *instance, Phase::Request, &[rounds]), cpu() - before)
    };
    let filter = bench.load(&of_request(WORK, BODY), &plugin).unwrap();
    for _ in 0..1_000 {
        ask(&filter, 0).0.unwrap();
    }
    assert!(!filter.is_slow(), "its calls take microseconds");
    // Whether they succeed makes no difference, nor the thread.
    let rounds = (1..=254).find(|n| ask(&filter, *n).1 > plugin.limits.time / 4);
    ask(&filter, rounds.expect("a machine of this century")).0.unwrap();
    assert!(filter.is_slow());
    assert!(thread::scope(|scope| scope.spawn(|| filter.is_slow()).join()).unwrap());
    let other = bench.load(&of_request(WORK, BODY), &plugin).unwrap();
    assert!(!other.is_slow(), "each filter for itself");
    let (stopped, took) = ask(&other, 255);
    assert_eq!(stopped.unwrap_err().reason, StopReason::Time);
    assert!(other.is_slow());
    // It keeps its limit.
    let (stopped, again) = ask(&other, 255);
    assert_eq!(stopped.unwrap_err().reason, StopReason::Time);
    assert!(took.min(again) >= plugin.limits.time, "{took:?} {again:?}");
    // Each call owes a hundred times what it took, ten seconds at most.
    let deadline = Instant::now() + Duration::from_secs(60);
    while other.is_slow() || filter.is_slow() {
        assert!(Instant::now() < deadline, "it is slow for ever");
        thread::sleep(Duration::from_millis(20));
    }
}
