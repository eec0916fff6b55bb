//! What one instance leaves behind for another: nothing.

use edgewit_chain::{Filter, Phase, StopReason};
use edgewit_model::{Isolation, RouteName};

use crate::{
    bench::{Bench, call, plugin},
    guest::of_request,
};

/// The first byte of the state says what to do: `w`rite canaries; then `t`rap or `f`uel; `r`ead: trap if there is one. `W`
/// and `R` do so in all of memory, the others at eight places from a number on that the next four bytes are.
const CANARY: &str = r#"
    (table $t 4 100 funcref)
    (elem declare func $mark)
    (global $secret (mut i64) (i64.const 0))
    (global $float (mut f64) (f64.const 0))
    (global $base (mut i32) (i32.const 0))
    (func $mark)
    (func $spot (param $n i32) (result i32)
        (i32.add (i32.const 65536) (i32.rem_u
            (i32.add (global.get $base) (i32.mul (local.get $n) (i32.const 24593)))
            (i32.const 196600))))
    (func $write
        (local $n i32)
        (global.set $secret (i64.const 0x5ec2e75ec2e7))
        (global.set $float (f64.const 42))
        (table.set $t (i32.const 3) (ref.func $mark))
        (drop (table.grow $t (ref.func $mark) (i32.const 40)))
        (drop (memory.grow (i32.const 2)))
        (loop $more
            (i64.store (call $spot (local.get $n)) (i64.const 0xa5a5a5a5a5a5a5a5))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $n) (i32.const 8)))))
    (func $read
        (local $n i32)
        (if (i64.ne (global.get $secret) (i64.const 0)) (then unreachable))
        (if (f64.ne (global.get $float) (f64.const 0)) (then unreachable))
        (if (i32.ne (table.size $t) (i32.const 4)) (then unreachable))
        (if (i32.eqz (ref.is_null (table.get $t (i32.const 3)))) (then unreachable))
        (if (i32.ne (table.grow $t (ref.null func) (i32.const 40)) (i32.const 4)) (then unreachable))
        (if (i32.eqz (ref.is_null (table.get $t (i32.const 43)))) (then unreachable))
        (if (i32.ne (memory.grow (i32.const 2)) (i32.const 2)) (then unreachable))
        (loop $more
            (if (i64.ne (i64.load (call $spot (local.get $n))) (i64.const 0)) (then unreachable))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $n) (i32.const 8)))))
    (func $read_all
        (local $at i32)
        (call $read)
        (local.set $at (i32.const 65536))
        (loop $more
            (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
            (local.set $at (i32.add (local.get $at) (i32.const 64)))
            (br_if $more (i32.lt_u (local.get $at) (i32.const 262144)))))"#;
const BODY: &str = r#"
    (local $way i32)
    (local.set $way (i32.load8_u (local.get 4)))
    (global.set $base (i32.load (i32.add (local.get 4) (i32.const 1))))
    (if (i32.eq (local.get $way) (i32.const 114)) (then (call $read) (return (i32.const 0))))
    (if (i32.eq (local.get $way) (i32.const 82)) (then (call $read_all) (return (i32.const 0))))
    (call $write)
    (if (i32.eq (local.get $way) (i32.const 87))
        (then (memory.fill (i32.const 65536) (i32.const 0xa5) (i32.const 196608))))
    (if (i32.eq (local.get $way) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $way) (i32.const 102)) (then (loop $more (br $more))))"#;

/// As many as the threat model wants.
const TRIES: u32 = 100_000;
/// Of so many, one fills and searches all of memory, one meets its fuel limit, and a fifth traps.
const ROUND: u32 = 100;

/// What a try does, where, and how the writer has to end.
fn way(try_: u32) -> ([u8; 5], u8, Option<StopReason>) {
    let (way, end) = match try_ % ROUND {
        0 => (b'f', Some(StopReason::Fuel)),
        1 => (b'W', None),
        n if n % 5 == 0 => (b't', Some(StopReason::Trap)),
        _ => (b'w', None),
    };
    // A prime, so that the places of all tries together are everywhere.
    let [a, b, c, d] = (try_.wrapping_mul(7_919) % 196_600).to_le_bytes();
    ([way, a, b, c, d], if way == b'W' { b'R' } else { b'r' }, end)
}

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
    let mut both = writer.start().unwrap();
    call(&writer, &mut *both, Phase::Request, b"w\0\0\0\0").unwrap();
    let found = call(&writer, &mut *both, Phase::Request, b"r\0\0\0\0").unwrap_err();
    assert_eq!(found.reason, StopReason::Trap, "in its own instance it would be found");
    drop(both);
    for n in 0..TRIES {
        let (mut state, read, expected) = way(n);
        let mut instance = writer.start().unwrap();
        let end = call(&writer, &mut *instance, Phase::Request, &state).err();
        assert_eq!(end.map(|stop| stop.reason), expected, "try {n}");
        drop(instance);
        state[0] = read;
        for filter in [&reader, &writer] {
            let mut instance = filter.start().unwrap();
            let seen = call(filter, &mut *instance, Phase::Request, &state);
            seen.unwrap_or_else(|stop| panic!("try {n} found something: {stop}"));
        }
    }
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

#[test]
fn kv_and_rate_belong_to_one_route_where_configured() {
    let bench = Bench::new(8);
    let route = |name: &str| RouteName::new(name).unwrap();
    for (name, body, write, read) in
        [("kv", KV, b"w".as_slice(), b"r".as_slice()), ("rate", RATE, b"", b"")]
    {
        let plugin = plugin(name);
        let whole = bench.load(&of_request("", body), &plugin).unwrap();
        let within = |name: &str| bench.runtime.within(&whole, &route(name));
        let (one, two, one_again) = (within("one"), within("two"), within("one"));
        let ask = |filter: &edgewit_wasm::WasmFilter, state: &[u8]| {
            call(filter, &mut *filter.start().unwrap(), Phase::Request, state)
        };
        ask(&one, write).unwrap();
        for (filter, whose) in [(&two, "another route's"), (&whole, "the plugin's")] {
            ask(filter, read).unwrap_or_else(|stop| panic!("{name} is {whose}, too: {stop}"));
        }
        assert!(ask(&one_again, read).is_err(), "{name}: another filter of the same route");
        drop((one, one_again));
        let anew = within("one");
        ask(&anew, read).unwrap_or_else(|stop| panic!("{name} outlives its route: {stop}"));
    }
}
