//! Bounds on memory, tables, the stack, fuel and host calls.

use edgewit_harness::{Gateway, NO_HURRY, Origin, Setup, component, get, post};

use crate::common::{all, assert_status, plugin, route, through, upstream, with};
use crate::guest;

/// Asks for a path whose filter must be stopped for this reason, then for one without filters.
#[track_caller]
fn check_stopped(gateway: &Gateway, path: &str, plugin: &str, reason: &str) {
    let labels = [("plugin", plugin), ("reason", reason)];
    let before = gateway.metrics().sum("edgewit_filter_stops_total", &labels);
    gateway.get(path).assert_problem(503);
    let after = gateway.metrics().sum("edgewit_filter_stops_total", &labels);
    assert_eq!(after, before + 1.0, "{path}: {:#?}", gateway.log.with(&["filter stopped"]));
    assert_status(&gateway.get("/free"), 200);
}

#[test]
fn memory_is_bounded_and_given_back() {
    let origin = Origin::echo();
    let toml = all([
        upstream("origin", &origin),
        route("free", "/free", ""),
        route("bomb", "/bomb", "\"memory_bomb\""),
        route("small", "/small", "\"small\""),
        plugin("small", "limits = { memory = \"2MiB\" }"),
    ]);
    let setup = Setup::new(toml).guest(guest::MEMORY_BOMB).guest_as(guest::MEMORY_BOMB, "small");
    let gateway = setup.start();
    check_stopped(&gateway, "/bomb", "memory_bomb", "memory");
    check_stopped(&gateway, "/small", "small", "memory");
    let line = gateway.log.wait_for(&["filter stopped", "small@"]);
    assert!(line.contains("limit 2097152"), "{line}");
    let peak = gateway.metrics().sum("edgewit_filter_memory_peak_bytes", &[("plugin", "small")]);
    assert!(peak <= f64::from(2 << 20), "{peak}");
    let before = gateway.memory();
    let mut connection = gateway.connect();
    for _ in 0..200 {
        connection.send(get("/bomb")).assert_problem(503);
    }
    let after = gateway.memory();
    assert!(after < before + before / 10 + (32 << 20), "{before} became {after}");
}

#[test]
fn a_table_bomb_is_stopped() {
    let grow = r#"
        (table $t 1 1000000 funcref)
        (func $act
            (loop $more
                (if (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable))
                (br $more)))"#;
    check_wat("table_bomb", grow, "memory");
}

#[test]
fn a_loop_over_growing_that_is_refused_is_stopped() {
    let grow = r#"
        (func $act
            (loop $more
                (drop (memory.grow $m (i32.const 10000)))
                (br $more)))"#;
    check_wat("grow_loop", grow, "time"); // most of it is spent in the host, which burns no fuel
}

#[test]
fn wrong_pointers_of_a_guest_are_a_failure_of_the_guest() {
    // Answers that its verdict stands where it has no memory.
    check_wat_with("wild", "(func $act)", "i32.const 0x7ffffff0", "trap");
}

/// A component whose phase `request` calls `$act`, in WebAssembly text.
#[track_caller]
fn check_wat(name: &str, act: &str, reason: &str) {
    check_wat_with(name, act, "i32.const 0", reason);
}

#[track_caller]
fn check_wat_with(name: &str, act: &str, outcome: &str, reason: &str) {
    let wat = format!(
        r#"(module
            (memory $m (export "memory") 1)
            {act}
            (global $free (mut i32) (i32.const 1024))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func (export "edgewit:filter/request@0.1.0#on-request")
                (param i32 i32 i32 i32 i32 i32) (result i32)
                (call $act)
                ({outcome}))
        )"#
    );
    let origin = Origin::echo();
    let toml = upstream("origin", &origin)
        + &route("free", "/free", "")
        + &route("bad", "/bad", &format!("\"{name}\""))
        + &plugin(name, "limits = { time = \"200ms\" }");
    let bytes = component::of_wat("with-request", &wat);
    let gateway = Setup::new(toml).file(&format!("plugins/{name}.wasm"), bytes).start();
    check_stopped(&gateway, "/bad", name, reason);
}

#[test]
fn infinite_recursion_is_a_trap() {
    let origin = Origin::echo();
    let toml = upstream("origin", &origin)
        + &route("free", "/free", "")
        + &route("deep", "/deep", "\"recursion\"");
    let gateway = Setup::new(toml).guest(guest::RECURSION).start();
    check_stopped(&gateway, "/deep", "recursion", "trap");
}

#[test]
fn host_calls_are_counted() {
    let origin = Origin::echo();
    let toml = all([
        upstream("origin", &origin),
        route("free", "/free", ""),
        route("most", "/most", &with("host_calls", "calls = 1000")),
        route("more", "/more", &with("host_calls", "calls = 1001")),
        route("few", "/few", &with("few", "calls = 4")),
        plugin("few", "limits = { host-calls = 3 }"),
    ]);
    let setup = Setup::new(toml).guest(guest::HOST_CALLS).guest_as(guest::HOST_CALLS, "few");
    let gateway = setup.start();
    assert_eq!(gateway.get("/most").echoed("x-calls"), "1000");
    check_stopped(&gateway, "/more", "host_calls", "capability");
    check_stopped(&gateway, "/few", "few", "capability");
}

#[test]
fn fuel_is_bounded_for_each_plugin_and_for_the_whole_chain() {
    let origin = Origin::echo();
    let burn = |rounds: u32| with("burn", &format!("rounds = {rounds}"));
    let toml = all([
        upstream("origin", &origin),
        route("free", "/free", ""),
        route("one", "/one", &burn(600_000)),
        route("chain", "/chain", &[burn(600_000), burn(600_000), burn(600_000)].join(",")),
        route("little", "/little", &with("little", "rounds = 600_000")),
        plugin("little", "limits = { fuel = 100_000 }"),
    ]);
    let limits = NO_HURRY.to_owned() + "\nfuel = 20_000_000\nrequest-fuel = 10_000_000";
    let setup = Setup::new(toml).limits(&limits);
    let gateway = setup.guest(guest::BURN).guest_as(guest::BURN, "little").start();
    assert_status(&gateway.get("/one"), 200);
    let burnt = gateway.metrics().sum("edgewit_filter_fuel_sum", &[("route", "one")]);
    assert!(
        (3_400_000.0..9_000_000.0).contains(&burnt),
        "three do not fit into 10 M, one does: {burnt}"
    );
    check_stopped(&gateway, "/chain", "burn", "fuel");
    check_stopped(&gateway, "/little", "little", "fuel");
    let line = gateway.access.wait_for(&[r#""route":"chain""#]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let sum: u64 =
        line["filters"].as_array().unwrap().iter().filter_map(|f| f["fuel"].as_u64()).sum();
    assert!(sum <= 10_000_000, "{line}");
}

#[test]
fn a_body_is_bounded_by_the_route() {
    let origin = Origin::echo();
    let toml = through(&origin, "") + "body = \"10B\"\n";
    let gateway = Setup::new(toml).start();
    assert_status(&gateway.send(post("/", "0123456789")), 200);
    gateway.send(post("/", "0123456789a")).assert_problem(413);
}
