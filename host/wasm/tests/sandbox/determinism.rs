//! C21: the same component and the same request cost the same and end the same, instance after instance.

use edgewit_chain::{Call, Filter, Phase, Returned};

use crate::{
    bench::{Bench, called, exchange, plugin},
    guest::{When, of_every_phase, of_request},
};

/// Computes with integers, floats, memory and host calls that give the same each time, as often as the state says, and
/// writes into the answer's memory what came of it.
const BODY: &str = r#"
    (local $n i32) (local $x f64)
    (local.set $n (i32.load8_u (local.get 4)))
    (local.set $x (f64.const 1.5))
    (drop (memory.grow (i32.const 1)))
    (loop $more
        (local.set $x (f64.sqrt (f64.add (local.get $x) (f64.convert_i32_u (local.get $n)))))
        (f64.store (i32.add (i32.const 131072) (i32.mul (local.get $n) (i32.const 8))) (local.get $x))
        (call $field (i32.const 512) (i32.const 6) (i32.const 256))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $more (i32.gt_s (local.get $n) (i32.const 0))))
    (if (i64.eqz (i64.and (i64.reinterpret_f64 (local.get $x)) (i64.const 1))) (then unreachable))"#;

/// How a call ended, in all that a host can see of it.
fn seen<V: std::fmt::Debug>(returned: &Returned<V>) -> String {
    let Returned { left, memory_peak, verdict, state, .. } = returned;
    let (fuel, calls) = (left.fuel, left.host_calls);
    format!("{verdict:?}, {fuel} fuel and {calls} calls left, {memory_peak} bytes, state {state:?}")
}

#[test]
fn c21_the_same_request_ends_and_costs_the_same_in_every_fresh_instance() {
    let bench = Bench::new(8);
    let filter = bench.load(&of_request("", BODY), &plugin("same")).unwrap();
    let other = of_every_phase("(func $act (drop (call $again)))", When::Asked);
    let other = bench.load(&other, &plugin("other")).unwrap();
    for times in [1, 2, 7, 50] {
        let ask = || {
            let mut instance = filter.start().unwrap();
            let (exchange, allowance) = (exchange(), filter.allowance());
            seen(&instance.on_request(Call { exchange, state: vec![times], allowance }))
        };
        let first = ask();
        for n in 0..200 {
            // Something else happens in between, in the slots that will be used next.
            let mut instance = other.start().unwrap();
            let _ = called(other.allowance(), &mut *instance, Phase::ALL[n % 8], b"!");
            drop(instance);
            assert_eq!(ask(), first, "{times} times, instance {n}");
        }
    }
}

#[test]
fn c21_the_same_request_meets_its_fuel_limit_at_the_same_place() {
    let bench = Bench::new(8);
    let mut plugin = plugin("hungry");
    plugin.limits.host_calls = u32::MAX;
    let endless = "(local $n i32) (loop $more
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (i32.store (i32.const 512) (local.get $n))
        (call $set (i32.const 512) (i32.const 6) (i32.const 512) (i32.const 6) (i32.const 0) (i64.const 0) (i32.const 256))
        (br $more))";
    for fuel in [10_000, 10_001, 54_321] {
        plugin.limits.fuel = fuel;
        let filter = bench.load(&of_request("", endless), &plugin).unwrap();
        let ask = || {
            let mut instance = filter.start().unwrap();
            let (end, left) = called(filter.allowance(), &mut *instance, Phase::Request, b"");
            (end.unwrap_err().reason, left.host_calls)
        };
        let first = ask();
        for n in 0..100 {
            assert_eq!(ask(), first, "{fuel} fuel, instance {n}");
        }
    }
}
