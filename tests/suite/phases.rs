//! Every phase, end to end.

use edgewit_harness::{Gateway, Origin, Reply, Setup, get, post, until};

use crate::common::{all, assert_status, plugin, route, through, upstream, with};
use crate::guest;

#[test]
fn auth_lets_in_with_a_subject_and_edits() {
    let origin = Origin::echo();
    let gateway = Setup::new(through(&origin, r#""gatekeeper""#)).guest(guest::GATEKEEPER).start();
    let reply = gateway.send(get("/").header("x-user", "ada"));
    assert_status(&reply, 200);
    assert_eq!(reply.echoed("x-authenticated"), "ada");
    assert_eq!(reply.echoed("x-user"), "", "the filter removed it");
    gateway.access.wait_for(&[r#""enduser.id":"ada""#]);
}

#[test]
fn a_denial_is_answered_by_the_filter_and_is_final() {
    let origin = Origin::echo();
    let filters = all([
        r#""marker","#,
        r#""gatekeeper","#,
        &(with("editor", "answer = 200") + ","),
        &with("late", "name = \"late\""),
    ]);
    let toml = through(&origin, &filters.replace('\n', " "));
    let toml = toml + &plugin("marker", "config = { name = \"first\" }");
    let gateway = Setup::new(toml)
        .guest(guest::MARKER)
        .guest_as(guest::MARKER, "late")
        .guest(guest::GATEKEEPER)
        .guest(guest::EDITOR)
        .start();
    let denied = gateway.get("/");
    assert_status(&denied, 401);
    assert_eq!(denied.text(), "who are you?");
    assert_eq!(denied.header("x-denied"), "yes");
    assert_eq!(denied.all("x-trail"), ["first:response"], "only filters that were reached see it");
    assert!(origin.seen().is_empty());
    let allowed = gateway.send(get("/").header("x-user", "ada"));
    assert_eq!((allowed.status, allowed.text().as_str()), (200, "answered by the filter"));
}

#[test]
fn routing_chooses_among_the_upstreams_of_the_route() {
    let (one, two, three) = (Origin::named("one"), Origin::named("two"), Origin::named("three"));
    let toml = all([
        upstream("one", &one),
        upstream("two", &two),
        upstream("three", &three),
        "[routes.all]\nmatch = \"/{*rest}\"\nfilters = [\"router\"]\n\
         upstreams = [{ name = \"one\" }, { name = \"two\", weight = 0 }]"
            .to_owned(),
        "[routes.three]\nmatch = \"/three\"\nupstream = \"three\"".to_owned(),
    ]);
    let gateway = Setup::new(toml).guest(guest::ROUTER).start();
    let check =
        |go: &str, expected: &dyn Fn(&Reply)| expected(&gateway.send(get("/a").header("x-go", go)));
    check("stay", &|reply| assert_eq!(reply.header("x-origin"), "one"));
    check("upstream:two", &|reply| assert_eq!(reply.header("x-origin"), "two"));
    check("path:/other/../b?c=d", &|reply| assert_eq!(reply.json()["path"], "/b?c=d"));
    check("answer:/elsewhere", &|reply| {
        assert_eq!((reply.status, reply.header("location")), (308, "/elsewhere"));
    });
    for refused in
        ["upstream:three", "upstream:nowhere", "path:b", "path:/%2fadmin", "path:/a?b\u{fc}"]
    {
        check(refused, &|reply| reply.assert_problem(503));
    }
    assert!(three.seen().is_empty());
}

#[test]
fn a_rewritten_path_is_authorised_again() {
    let origin = Origin::echo();
    let toml = through(&origin, r#""path_guard", "router""#);
    let gateway = Setup::new(toml).guest(guest::PATH_GUARD).guest(guest::ROUTER).start();
    let check = |path: &str, go: &str, status: u16| {
        let reply = gateway.send(get(path).header("x-go", go));
        assert_eq!(reply.status, status, "{path} {go}");
    };
    check("/open", "stay", 200);
    check("/secret/a", "stay", 403);
    check("/open", "path:/secret/a", 403);
    check("/open", "path:/x/../secret", 403);
    check("/secret", "path:/open", 403);
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn request_and_response_are_edited() {
    let origin = Origin::answering(|seen| {
        let response = http::Response::builder().header("x-kept", "1").header("x-gone", "1");
        let response = response.header("x-two", "first").header("x-seen", seen.header("x-new"));
        let all: Vec<_> =
            seen.headers.get_all("x-two").iter().filter_map(|v| v.to_str().ok()).collect();
        response.header("x-all", all.join("+")).body("body".into()).unwrap()
    });
    let edits =
        r#"["set", "X-New", "new"], ["append", "x-two", "second"], ["remove", "x-gone", ""]"#;
    let config = format!("request = [{edits}], response = [{edits}], status = 299");
    let gateway =
        Setup::new(through(&origin, &with("editor", &config))).guest(guest::EDITOR).start();
    let reply = gateway.send(get("/").header("x-two", "first").header("x-gone", "1"));
    assert_status(&reply, 299);
    assert_eq!(reply.header("x-seen"), "new");
    assert_eq!(reply.header("x-all"), "first+second");
    assert_eq!(reply.header("x-new"), "new");
    assert_eq!(reply.header("x-kept"), "1");
    assert_eq!(reply.header("x-gone"), "");
    assert_eq!(reply.all("x-two"), ["first", "second"]);
    assert_eq!(origin.seen()[0].header("x-gone"), "");
}

#[test]
fn a_response_is_replaced_whole() {
    let origin = Origin::echo();
    let toml = through(
        &origin,
        &(with("marker", "name = \"m\"") + "," + &with("editor", "replace = 418")),
    );
    let gateway = Setup::new(toml).guest(guest::EDITOR).guest(guest::MARKER).start();
    let reply = gateway.get("/");
    assert_eq!((reply.status, reply.text().as_str()), (418, "replaced by the filter"));
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.all("x-trail"), ["m:response"], "filters before it see the replacement");
    assert_eq!(reply.header("content-length"), "22");
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_filter_sees_the_facts_and_fields_that_it_declared() {
    let toml = all([
        "[routes.fixed]\nmatch = \"/{*rest}\"\nrespond = {}\nfilters = [\"mirror\"]".to_owned(),
        "[routes.star]\nmatch = \"/star\"\nrespond = {}".to_owned(),
        format!("filters = [{}]", with("mirror", "star_first = true")),
    ]);
    let gateway = Setup::new(toml).guest(guest::MIRROR).start();
    let ask = |path: &str| {
        let ask = get(path)
            .header("x-declared", "one")
            .header("x-declared", "two")
            .header("x-other", "three");
        gateway
            .send(ask.header("x-asked", b"\xff\xfe").header("host", "API.example.com:8080"))
            .json()
    };
    let seen = ask("/a/./b?c=d");
    let facts = &seen["facts"];
    let expected = [
        ("method", "GET"),
        ("scheme", "http"),
        ("authority", "api.example.com:8080"),
        ("path", "/a/b"),
        ("query", "c=d"),
        ("client-address", "127.0.0.1"),
        ("protocol", "HTTP/1.1"),
        ("listener", "web"),
        ("route", "fixed"),
    ];
    for (fact, value) in expected {
        assert_eq!(facts[fact], value, "{fact}");
    }
    assert_eq!(facts["request-id"].as_str().map(str::len), Some(36));
    assert!(facts.get("subject").is_none() && facts.get("upstream").is_none(), "{facts}");
    for seen in [seen, ask("/star")] {
        assert_eq!(seen["declared"], serde_json::json!(["one", "two"]));
        assert_eq!(seen["asked"], serde_json::json!(["\u{fffd}\u{fffd}"]));
        let others = seen["others"].as_array().unwrap();
        assert!(others.contains(&serde_json::json!(["x-other", "three"])), "{others:?}");
        assert!(
            !others.iter().any(|field| field[0] == "x-declared" || field[0] == "host"),
            "{others:?}"
        );
    }
}

#[test]
fn state_travels_from_phase_to_phase() {
    let origin = Origin::echo();
    let toml = through(&origin, r#""state""#)
        + "[routes.worker]\nmatch = \"/worker\"\nupstream = \"origin\"\n\
        filters = [\"again\"]\n[plugins.again]\nisolation = \"worker\"\n";
    let gateway = Setup::new(toml).guest(guest::STATE).guest_as(guest::STATE, "again").start();
    for path in ["/", "/worker", "/worker"] {
        let reply = gateway.send(post(path, "body"));
        assert_eq!(reply.header("x-state"), "arqbjs", "{path}");
        gateway.log.wait_for(&["state at the end: arqbjsp"]);
    }
}

#[test]
fn state_has_at_most_four_kibibytes() {
    let origin = Origin::echo();
    let toml = all([
        upstream("origin", &origin),
        route("most", "/most", &with("state", "bytes = 4096")),
        route("more", "/more", &with("state", "bytes = 4097")),
    ]);
    let gateway = Setup::new(toml).guest(guest::STATE).start();
    gateway.get("/more").assert_problem(503);
    assert_eq!(gateway.get("/most").header("x-state"), "4096");
    gateway.log.wait_for(&[
        "filter stopped",
        "returned a state of 4097 bytes",
        r#""reason":"abi""#,
    ]);
}

#[test]
fn telemetry_is_told_once_after_the_end() {
    let origin = Origin::echo();
    let gateway = Setup::new(through(&origin, r#""recorder""#)).guest(guest::RECORDER).start();
    assert_status(&gateway.send(post("/a/path", "12345")), 200);
    let line = gateway.log.wait_for(&["recorded path=/a/path"]);
    assert!(line.contains("status=200 ending=Ending::Complete attempts=1 in=5"), "{line}");
    assert!(line.contains("state=seen"), "{line}");
    assert_recorded_once(&gateway);
}

#[test]
fn telemetry_is_told_of_a_client_that_went_away() {
    let (origin, mut streams) = Origin::streaming();
    let gateway = Setup::new(through(&origin, r#""recorder""#)).guest(guest::RECORDER).start();
    let mut client = gateway.raw();
    client.write("GET /gone HTTP/1.1\r\nhost: a\r\n\r\n");
    let parts = until("the origin to be asked", || streams.try_recv().ok());
    parts.send(Ok(hyper::body::Frame::data("some".into()))).unwrap();
    client.read_until("some");
    drop(client);
    let line = gateway.log.wait_for(&["recorded path=/gone"]);
    assert!(line.contains("status=200 ending=Ending::ClientGone"), "{line}");
    assert_recorded_once(&gateway);
}

/// It logs a moment before it counts.
fn assert_recorded_once(gateway: &Gateway) {
    let recorded =
        || gateway.metrics().sum("edgewit_plugin_recorded_total", &[("plugin", "recorder")]);
    until("the record", || (recorded() > 0.0).then_some(()));
    assert_eq!(recorded(), 1.0);
}
