//! What the state of a plugin is separate for: the plugin, or each of its routes.

use edgewit_harness::{Gateway, Origin, Setup, artifact, get, until};

use crate::common::{plugin, route, upstream};
use crate::guest;

/// Two routes through the same filter.
fn toml(origin: &Origin, name: &str, keys: &str) -> String {
    let filter = format!("\"{name}\"");
    upstream("origin", origin)
        + &route("one", "/one/{*rest}", &filter)
        + &route("two", "/two/{*rest}", &filter)
        + &plugin(name, keys)
}

fn start(origin: &Origin, name: &str, keys: &str) -> Gateway {
    Setup::new(toml(origin, name, keys)).guest(name).start()
}

fn tally(gateway: &Gateway, path: &str) -> String {
    gateway.get(path).header("x-tally").to_owned()
}

#[test]
fn routes_share_the_store_of_a_plugin_unless_configured_otherwise() {
    let origin = Origin::echo();
    let shared = start(&origin, guest::TALLY, "allow = { kv = true }");
    assert_eq!(tally(&shared, "/one/a"), "/one/a 1 first /one/a");
    assert_eq!(tally(&shared, "/two/a"), "/two/a 1 later /one/a");

    let keys = "namespace = \"route\"\nallow = { kv = true }";
    let apart = start(&origin, guest::TALLY, keys);
    assert_eq!(tally(&apart, "/one/a"), "/one/a 1 first /one/a");
    assert_eq!(tally(&apart, "/two/a"), "/two/a 1 first /two/a");
    assert_eq!(tally(&apart, "/one/b"), "/one/b 1 later /one/a");
}

#[test]
fn the_store_of_a_route_outlives_reloads_and_swaps_and_ends_with_the_route() {
    let origin = Origin::echo();
    let keys = "namespace = \"route\"\nallow = { kv = true }";
    let gateway = start(&origin, guest::TALLY, keys);
    assert_eq!(tally(&gateway, "/one/a"), "/one/a 1 first /one/a");
    gateway.reload();
    assert_eq!(tally(&gateway, "/one/a"), "/one/a 2 later /one/a", "a reload keeps it");
    let component = std::fs::read(artifact::guest(guest::TALLY)).unwrap();
    let before = gateway.generation();
    // The same component with a remark at its end is another version.
    gateway.put(&[component.as_slice(), &[0, 3, 1, b'a', b'b']].concat(), guest::TALLY);
    until("the swap", || (gateway.generation() > before).then_some(()));
    assert_eq!(tally(&gateway, "/one/a"), "/one/a 3 later /one/a", "a swap keeps it");

    let all = toml(&origin, guest::TALLY, keys);
    gateway.write(&all.replace("routes.one", "routes.other"));
    gateway.reload();
    assert_eq!(tally(&gateway, "/one/a"), "/one/a 1 first /one/a", "another route");
}

#[test]
fn metrics_and_log_lines_of_a_route_carry_its_name() {
    let origin = Origin::echo();
    let gateway = start(&origin, guest::RECORDER, "namespace = \"route\"");
    for path in ["/one/a", "/two/a", "/two/b"] {
        assert_eq!(gateway.get(path).status, 200);
    }
    for (route, count) in [("one", 1.0), ("two", 2.0)] {
        let labels = [("plugin", guest::RECORDER), ("route", route)];
        until("the requests to be recorded", || {
            let recorded = gateway.metrics().sum("edgewit_plugin_recorded_total", &labels);
            (recorded == count).then_some(())
        });
    }
    let line = gateway.log.wait_for(&["recorded path=/one/a"]);
    assert!(line.contains(r#""route":"one""#) || line.contains("route=\"one\""), "{line}");
}

#[test]
fn instances_that_are_reused_belong_to_one_route() {
    let origin = Origin::echo();
    let counts = |keys: &str| {
        let setup = Setup::new(toml(&origin, guest::COUNTER, keys)).guest(guest::COUNTER);
        let gateway = setup.server("workers = 1\n").start();
        let mut connection = gateway.connect();
        let mut count = |path| connection.send(get(path)).header("x-count").to_owned();
        [count("/one/a"), count("/one/a"), count("/two/a")].join(" ")
    };
    assert_eq!(counts("isolation = \"worker\""), "1 2 3");
    assert_eq!(counts("isolation = \"worker\"\nnamespace = \"route\""), "1 2 1");
}
