//! Handles of WASI, and what goes through the only ones there are.

use edgewit_chain::{Filter, Instance, Phase, Stop, StopReason};
use edgewit_model::Isolation;
use edgewit_wasm::WasmFilter;

use crate::{
    bench::{Bench, call, called, plugin},
    guest::of_request,
};

/// `g`: gets a handle and keeps it. Else: asks through handle 1, which it may not have.
const BODY: &str = r#"
    (if (i32.eq (i32.load8_u (local.get 4)) (i32.const 103))
        (then (drop (call $stdout)))
        (else (call $check (i32.const 1) (i32.const 256))))"#;

#[test]
fn handles_of_one_instance_trap_in_another() {
    let bench = Bench::new(8);
    let component = of_request("", BODY);
    let (one, two) = (
        bench.load(&component, &plugin("one")).unwrap(),
        bench.load(&component, &plugin("two")).unwrap(),
    );
    let mut holder = one.start().unwrap();
    call(&one, &mut *holder, Phase::Request, b"g").unwrap();
    call(&one, &mut *holder, Phase::Request, b"u").expect("its own handle is good");
    for (filter, whose) in [(&two, "another plugin's"), (&one, "another request's")] {
        let mut instance = filter.start().unwrap();
        let stop = call(filter, &mut *instance, Phase::Request, b"u").unwrap_err();
        assert_eq!(stop.reason, StopReason::Trap, "{whose}: {}", stop.detail);
        assert!(stop.detail.contains("handle"), "{whose}: {}", stop.detail);
    }
    call(&one, &mut *holder, Phase::Request, b"u").expect("it has not been touched");
}

/// Prints four bytes as often as the state's first byte says, times ten.
const PRINT: &str = r#"
    (local $left i32) (local $out i32)
    (local.set $left (i32.mul (i32.load8_u (local.get 4)) (i32.const 10)))
    (local.set $out (call $stdout))
    (loop $more
        (call $print (local.get $out) (i32.const 512) (i32.const 4) (i32.const 256))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (local.get $left)))"#;

#[test]
fn what_a_guest_prints_is_bounded_in_each_request_and_the_rest_is_counted() {
    let bench = Bench::new(8);
    let mut plugin = plugin("printer");
    plugin.isolation = Some(Isolation::Worker { recycle: 100 });
    let filter = bench.load(&of_request("", PRINT), &plugin).unwrap();
    let dropped = || bench.metrics.plugin(&plugin.name).log_dropped();
    for (times, expected) in [(6, 0), (7, 6), (100, 6 + 936), (1, 6 + 936)] {
        let mut instance = filter.start().unwrap();
        call(&filter, &mut *instance, Phase::Request, &[times]).unwrap();
        drop(instance);
        assert_eq!(dropped(), expected, "after {times}0 lines");
    }
}

#[test]
fn a_request_that_gave_its_instance_back_may_not_print_more_for_it() {
    let bench = Bench::new(8);
    let mut plugin = plugin("printer");
    // The second request is the last one of its instance, so that it goes on with a fresh one.
    plugin.isolation = Some(Isolation::Worker { recycle: 2 });
    let filter = bench.load(&of_request("", PRINT), &plugin).unwrap();
    let dropped = || bench.metrics.plugin(&plugin.name).log_dropped();
    for request in 1..=4 {
        let mut instance = filter.start().unwrap();
        let (end, left) = called(filter.allowance(), &mut *instance, Phase::Request, &[6]);
        end.unwrap();
        drop(instance);
        let mut again = filter.resume().unwrap();
        called(left, &mut *again, Phase::Request, &[1]).0.unwrap();
        drop(again);
        assert_eq!(dropped(), request * 6, "70 lines in request {request}");
    }
}

/// How a request takes an instance.
type Take = fn(&WasmFilter) -> Result<Box<dyn Instance>, Stop>;

/// A request that gives its instance back twice.
const TAKES: [Take; 3] = [WasmFilter::start, WasmFilter::resume, WasmFilter::resume];

#[test]
fn an_instance_is_replaced_after_its_requests_however_often_they_gave_it_back() {
    let bench = Bench::new(8);
    let component = of_request("", "");
    // Instances that wait to be used again, each time one was given back, in the first request and in each later one. With two
    // requests for each, the second request of one goes on with a fresh one, which counts it as its first.
    for (recycle, first, later) in [(1, [0, 0, 0], [0, 0, 0]), (2, [1, 1, 1], [0, 1, 1])] {
        let mut plugin = plugin("waits");
        plugin.isolation = Some(Isolation::Worker { recycle });
        let filter = bench.load(&component, &plugin).unwrap();
        for waiting in [first, later, later, later] {
            for (take, waiting) in TAKES.into_iter().zip(waiting) {
                let mut instance = take(&filter).unwrap();
                call(&filter, &mut *instance, Phase::Request, b"").unwrap();
                drop(instance);
                bench.assert_alive(waiting);
            }
        }
        drop(filter);
        bench.assert_alive(0);
    }
}

#[test]
fn log_lines_beyond_the_bound_are_counted() {
    let bench = Bench::new(8);
    let plugin = plugin("talker");
    let body = r#"(local $left i32)
        (local.set $left (i32.const 100))
        (loop $more
            (call $log (i32.const 0) (i32.const 512) (i32.const 6))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $more (local.get $left)))"#;
    let filter = bench.load(&of_request("", body), &plugin).unwrap();
    let mut instance = filter.start().unwrap();
    let (end, left) = called(filter.allowance(), &mut *instance, Phase::Request, b"");
    end.unwrap();
    assert_eq!(left.log_lines, 0);
    let dropped = || bench.metrics.plugin(&plugin.name).log_dropped();
    assert_eq!(dropped(), 68);
    // The next phase of the same request has none left.
    called(left, &mut *instance, Phase::Request, b"").0.unwrap();
    assert_eq!(dropped(), 168);
}
