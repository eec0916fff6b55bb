//! The commands beside `run`.

use edgewit_harness::{Outcome, Setup, artifact};
use serde_json::Value;

use crate::guest;

const ROUTES: &str = r#"
[upstreams.orders]
servers = ["http://127.0.0.1:9"]
[routes.orders]
match = "GET api.example.com/orders/{id}"
upstream = "orders"
filters = ["marker"]
[routes.rest]
match = "/{*rest}"
respond = { status = 404 }
[plugins.marker]
config = { name = "m" }
"#;

fn setup() -> Setup {
    Setup::new(ROUTES).guest(guest::MARKER)
}

fn json(outcome: Outcome) -> Value {
    serde_json::from_str(&outcome.ok()).expect("it is JSON")
}

#[test]
fn routes_lists_them_and_says_which_wins() {
    let setup = setup();
    let table = setup.run(&["routes"]).ok();
    for words in ["ROUTE", "orders", "rest", "marker", "/orders/{id}"] {
        assert!(table.contains(words), "no {words} in\n{table}");
    }
    let won = setup.run(&["routes", "GET", "http://api.example.com/orders/1"]).ok();
    assert!(won.contains("orders"), "{won}");
    let names: Vec<String> = json(setup.run(&["routes", "-o", "json"]))
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap().into())
        .collect();
    assert_eq!(names, ["orders", "rest"]);
}

#[test]
fn check_says_what_is_valid() {
    let said = setup().run(&["check"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for words in ["edgewit.toml is valid", "2 routes", "1 plugin"] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    let checked = json(setup().run(&["check", "-o", "json"]));
    assert!(checked.is_object(), "{checked}");
}

#[test]
fn version_schema_and_explain_speak() {
    let setup = setup();
    assert!(setup.run(&["version"]).ok().contains(env!("CARGO_PKG_VERSION")));
    let schema = json(setup.run(&["schema"]));
    for table in ["routes", "plugins", "upstreams", "listeners", "limits"] {
        assert!(schema["properties"].get(table).is_some(), "{table}");
    }
    assert!(setup.run(&["explain", "E0404"]).ok().contains("E0404"));
    assert_ne!(setup.run(&["explain", "E9999"]).code, Some(0));
    assert_eq!(setup.run(&["no-such-command"]).code, Some(2));
}

#[test]
fn inspect_tells_what_a_component_is() {
    let setup = setup();
    let file = |name: &str| artifact::guest(name).display().to_string();
    let told = json(setup.run(&["plugin", "inspect", &file(guest::TALLY), "-o", "json"]));
    let text = told.to_string();
    for words in [
        "\"capabilities\":[\"exchange\",\"kv\"]",
        "\"phases\":[\"request\",\"response\"]",
        "\"snapshotted\"",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    let human = setup.run(&["plugin", "inspect", &file(guest::MARKER)]).ok();
    assert!(human.contains("auth, routing, request, response"), "{human}");
    let refused = setup.run(&["plugin", "inspect", &file(guest::WRONG_VERSION)]).failed();
    assert!(refused.contains("E0402"), "{refused}");
}
