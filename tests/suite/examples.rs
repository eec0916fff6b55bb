//! The examples do what they promise.

use std::{fs, path::Path};

use edgewit_harness::{Ask, Origin, Setup, artifact, get};

use crate::common::assert_status;

/// The configuration of an example without what the test gives it: ports, and folders of its own.
fn example(name: &str, places: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let mut text = fs::read_to_string(path.join("edgewit.toml")).expect("the example is there");
    for (what, with) in places {
        assert!(text.contains(what), "{name} has no `{what}` any more");
        text = text.replace(what, with);
    }
    let mut table: toml::Table = text.parse().expect("the example is TOML");
    for own in ["server", "admin", "listeners"] {
        table.remove(own);
    }
    table.to_string()
}

#[test]
fn the_hello_example_signs_its_answer() {
    let component = fs::read(artifact::hello()).expect("it was built");
    let setup = Setup::new(example("hello", &[])).file("plugins/hello.wasm", component);
    let gateway = setup.start();
    let reply = gateway.get("/anything");
    assert_status(&reply, 200);
    assert_eq!((reply.text().as_str(), reply.header("x-hello")), ("hello\n", "from the edge"));
}

#[test]
fn the_gateway_example_authenticates_routes_and_limits() {
    let (stable, next) = (Origin::named("stable"), Origin::named("next"));
    let toml = example(
        "gateway",
        &[
            ("http://127.0.0.1:${env:EDGEWIT_ORIGIN_PORT:-9101}", stable.url()),
            ("http://127.0.0.1:${env:EDGEWIT_NEXT_PORT:-9102}", next.url()),
        ],
    );
    let filters = ["headers", "access-metrics", "jwt", "rate-limit", "canary", "retry-policy"];
    let setup = filters.iter().fold(Setup::new(toml), |setup, name| setup.maintained(name));
    let gateway = setup.start();
    let alice = |ask: Ask| {
        let token = include_str!("../../examples/gateway/alice.jwt").trim();
        gateway.send(ask.header("authorization", format!("Bearer {token}")))
    };

    let stranger = gateway.get("/orders/7");
    assert_status(&stranger, 401);
    assert_eq!(stranger.header("x-frame-options"), "DENY", "refusals carry the header, too");
    assert_eq!(gateway.get("/health").text(), "ok\n");

    let reply = alice(get("/orders/7").header("x-canary", "1").header("x-user", "eve"));
    assert_status(&reply, 200);
    assert_eq!(reply.header("x-origin"), "next");
    assert_eq!(
        (reply.echoed("x-user"), reply.echoed("authorization")),
        ("alice".into(), "".into())
    );
    let statuses: Vec<u16> = (0..30).map(|_| alice(get("/orders/7")).status).collect();
    assert_eq!(statuses.first(), Some(&200));
    assert!(statuses.contains(&429), "ten at once and five a second: {statuses:?}");
}
