//! What one instance leaves behind for another: nothing.

use std::time::{Duration, Instant};

use edgewit_chain::{Filter, Phase, StopReason};
use edgewit_model::Isolation;

use crate::{
    bench::{Bench, call, plugin},
    guest::of_request,
};

/// The first byte of the state says what to do: `w`rite canaries everywhere; then `t`rap or `f`uel; `r`ead: trap if there
/// is one.
const CANARY: &str = r#"
    (table $t 4 100 funcref)
    (elem declare func $mark)
    (global $secret (mut i64) (i64.const 0))
    (global $float (mut f64) (f64.const 0))
    (func $mark)
    (func $write
        (global.set $secret (i64.const 0x5ec2e75ec2e7))
        (global.set $float (f64.const 42))
        (table.set $t (i32.const 3) (ref.func $mark))
        (drop (table.grow $t (ref.func $mark) (i32.const 40)))
        (drop (memory.grow (i32.const 2)))
        (memory.fill (i32.const 65536) (i32.const 0xa5) (i32.const 196608)))
    (func $read
        (local $at i32)
        (if (i64.ne (global.get $secret) (i64.const 0)) (then unreachable))
        (if (f64.ne (global.get $float) (f64.const 0)) (then unreachable))
        (if (i32.ne (table.size $t) (i32.const 4)) (then unreachable))
        (if (i32.eqz (ref.is_null (table.get $t (i32.const 3)))) (then unreachable))
        (if (i32.ne (table.grow $t (ref.null func) (i32.const 40)) (i32.const 4)) (then unreachable))
        (if (i32.eqz (ref.is_null (table.get $t (i32.const 43)))) (then unreachable))
        (if (i32.ne (memory.grow (i32.const 2)) (i32.const 2)) (then unreachable))
        (local.set $at (i32.const 65536))
        (loop $more
            (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
            (local.set $at (i32.add (local.get $at) (i32.const 64)))
            (br_if $more (i32.lt_u (local.get $at) (i32.const 262144)))))"#;
const BODY: &str = r#"
    (if (i32.eq (i32.load8_u (local.get 4)) (i32.const 114)) (then (call $read)) (else (call $write)))
    (if (i32.eq (i32.load8_u (local.get 4)) (i32.const 116)) (then unreachable))
    (if (i32.eq (i32.load8_u (local.get 4)) (i32.const 102)) (then (loop $more (br $more))))"#;

/// As many as the threat model wants; a busy machine may end earlier.
const TRIES: u32 = 100_000;
const ENOUGH: Duration = Duration::from_secs(20);

#[test]
fn canaries_in_reused_slots_are_never_seen() {
    let bench = Bench::new(3);
    let component = of_request(CANARY, BODY);
    let load = |name: &str| {
        let mut plugin = plugin(name);
        plugin.limits.fuel = 300_000;
        bench.load(&component, &plugin).unwrap()
    };
    let (writer, reader) = (load("writer"), load("reader"));
    let begun = Instant::now();
    let mut tries = 0;
    while tries < TRIES && begun.elapsed() < ENOUGH {
        let (way, expected) = match tries % 50 {
            0 => (b"f", Some(StopReason::Fuel)),
            n if n % 5 == 0 => (b"t", Some(StopReason::Trap)),
            _ => (b"w", None),
        };
        let mut instance = writer.start().unwrap();
        let end = call(&writer, &mut *instance, Phase::Request, way).err().map(|stop| stop.reason);
        assert_eq!(end, expected, "try {tries}");
        drop(instance);
        for filter in [&reader, &writer] {
            let mut instance = filter.start().unwrap();
            let seen = call(filter, &mut *instance, Phase::Request, b"r");
            seen.unwrap_or_else(|stop| panic!("try {tries} found something: {stop}"));
        }
        tries += 1;
    }
    assert!(tries >= 1_000, "only {tries} tries in {:?}", begun.elapsed());
    bench.assert_alive(0);
}

#[test]
fn a_canary_is_found_where_the_operator_lets_instances_be_reused() {
    let bench = Bench::new(3);
    let mut plugin = plugin("reused");
    plugin.isolation = Some(Isolation::Worker { recycle: 10 });
    // Not grown, or it would be recycled.
    let items = "(global $secret (mut i64) (i64.const 0))";
    let body = "(if (i64.ne (global.get $secret) (i64.const 0)) (then unreachable))
        (global.set $secret (i64.const 1))";
    let filter = bench.load(&of_request(items, body), &plugin).unwrap();
    let ask = || call(&filter, &mut *filter.start().unwrap(), Phase::Request, b"");
    ask().unwrap();
    assert_eq!(ask().unwrap_err().reason, StopReason::Trap, "so that the test above can fail");
    ask().expect("what was stopped is not used again");
}

/// Sets a key if the state is `w`; traps if the key is there otherwise.
const KV: &str = r#"
    (if (i32.eq (i32.load8_u (local.get 4)) (i32.const 119))
        (then (call $set (i32.const 512) (i32.const 6) (i32.const 512) (i32.const 6) (i32.const 0) (i64.const 0)
            (i32.const 256)))
        (else
            (call $get (i32.const 512) (i32.const 6) (i32.const 256))
            (if (i32.load8_u (i32.const 260)) (then unreachable))))"#;
/// Takes the only token of a bucket; traps if there is none.
const RATE: &str = "(if (call $again) (then unreachable))";

#[test]
fn kv_and_rate_belong_to_one_plugin() {
    let bench = Bench::new(8);
    for (name, body, write, read) in
        [("kv", KV, b"w".as_slice(), b"r".as_slice()), ("rate", RATE, b"", b"")]
    {
        let component = of_request("", body);
        let load =
            |tenant: &str| bench.load(&component, &plugin(&format!("{name}-{tenant}"))).unwrap();
        let (one, two) = (load("one"), load("two"));
        let ask = |filter: &edgewit_wasm::WasmFilter, state: &[u8]| {
            call(filter, &mut *filter.start().unwrap(), Phase::Request, state)
        };
        ask(&one, write).unwrap();
        ask(&two, read).unwrap_or_else(|stop| panic!("{name} is shared: {stop}"));
        assert!(ask(&one, read).is_err(), "{name}: its own it sees");
        let other_version = of_request("(func)", body);
        let newer = bench.load(&other_version, &plugin(&format!("{name}-one"))).unwrap();
        assert!(ask(&newer, read).is_err(), "{name}: another version is the same plugin");
    }
}
