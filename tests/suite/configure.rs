//! A filter is configured once, when it is loaded.

use edgewit_harness::{Gateway, Origin, Setup};

use crate::common::{all, assert_status, plugin, route, through, upstream, with};
use crate::guest;

#[test]
fn what_configure_made_is_there_in_every_request() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"dice\"");
    let gateway = Setup::new(toml).guest(guest::DICE).start();
    let (mut configured, mut drawn) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let reply = gateway.get("/");
        configured.push(reply.header("x-configured").to_owned());
        drawn.push(reply.header("x-drawn").to_owned());
    }
    configured.dedup();
    assert_eq!(configured.len(), 1, "drawn once: {configured:?}");
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 50, "drawn anew for each request");
    assert_eq!(snapshotted(&gateway, "dice"), serde_json::json!([true]));
}

#[test]
fn configuring_may_take_more_than_a_request_has() {
    let origin = Origin::echo();
    let toml = all([
        upstream("origin", &origin),
        route("all", "/", &with("slow_start", "rounds = 50_000_000")),
        plugin("slow_start", "limits = { fuel = 1_000_000 }"),
    ]);
    let gateway = Setup::new(toml).guest(guest::SLOW_START).start();
    let reply = gateway.get("/");
    assert_status(&reply, 200);
    assert_eq!(reply.header("x-sum"), (0..50_000_000_u64).sum::<u64>().to_string());
}

#[test]
fn each_place_of_a_plugin_has_its_configuration() {
    let origin = Origin::echo();
    let toml = all([
        upstream("origin", &origin),
        route("own", "/own", "\"marker\""),
        route("other", "/other", &with("marker", "name = \"other\"")),
        plugin("marker", "config = { name = \"own\" }"),
    ]);
    let gateway = Setup::new(toml).guest(guest::MARKER).start();
    assert_eq!(gateway.get("/own").header("x-trail"), "own:response");
    assert_eq!(gateway.get("/other").header("x-trail"), "other:response");
    assert_eq!(snapshotted(&gateway, "marker"), serde_json::json!([true, true]));
}

#[test]
fn a_configuration_that_the_filter_does_not_like_is_refused() {
    let table = [
        (
            "stubborn",
            "how = \"error\"",
            "refuses its configuration: `how` is `error`, which is not to my liking",
        ),
        ("stubborn", "how = \"trap\"", "it was stopped while starting: stopped by trap"),
        ("stubborn", "how = \"loop\"", "it was stopped while starting: stopped by"),
        ("stubborn", "how = \"field\"", "declares `not a field`, which is no field name"),
        ("stubborn", "how = \"fields\"", "declares 65 fields, at most 64"),
        ("stubborn", "hew = \"well\"", "`hew`: unknown field `hew`, expected `how`"),
        ("stubborn", "how = 1", "`how`: invalid type: integer `1`, expected a string"),
        (
            "body",
            "direction = \"request\", mode = \"buffer\", size = 99_000_000, act = \"\"",
            "more than its memory",
        ),
    ];
    for (name, config, words) in table {
        let time = if config.contains("loop") { "300ms" } else { "30s" };
        let toml = format!(
            "[routes.all]\nmatch = \"/\"\nrespond = {{}}\nfilters = [\"{name}\"]\n\
             [plugins.{name}]\nlimits = {{ configure-time = \"{time}\" }}\nconfig = {{ {config} }}\n"
        );
        let said = Setup::new(toml).guest(name).run(&["check"]).failed();
        assert!(said.contains(words), "no {words:?} in:\n{said}");
        assert!(said.contains("E0403") && said.contains("edgewit.toml:"), "{said}");
    }
    let good = Setup::new(format!(
        "[routes.all]\nmatch = \"/\"\nrespond = {{}}\nfilters = [{}]\n",
        with("stubborn", "how = \"well\"")
    ));
    good.guest(guest::STUBBORN).run(&["check"]).ok();
}

/// Whether the instances of a plugin start out configured, for each of its configurations.
fn snapshotted(gateway: &Gateway, plugin: &str) -> serde_json::Value {
    let plugins = gateway.admin_json("/v1/plugins");
    let of = plugins["plugins"].as_array().unwrap().iter().find(|p| p["name"] == plugin).unwrap();
    let configurations = of["versions"][0]["configurations"].as_array().unwrap();
    configurations.iter().map(|c| c["snapshotted"].clone()).collect()
}
