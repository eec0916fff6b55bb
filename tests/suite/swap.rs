//! Files of plugins that come, change and go under a running gateway.

use std::{fs, os::unix::fs::symlink};

use edgewit_harness::{Gateway, Origin, Setup, artifact, get, until};

use crate::common::{assert_status, plugin, route, through, upstream, with};
use crate::guest;

/// One route through a plugin `version`, which is at its first version.
fn versioned(origin: &Origin, more: &str) -> Gateway {
    Setup::new(through(origin, "\"version\"") + more)
        .guest_as(guest::VERSION_ONE, "version")
        .start()
}

#[track_caller]
fn wait_for_version(gateway: &Gateway, version: &str) {
    until(&format!("version {version}"), || {
        let reply = gateway.get("/");
        assert_status(&reply, 200);
        assert_eq!(reply.echoed("x-request-version"), reply.header("x-response-version"));
        (reply.header("x-response-version") == version).then_some(())
    });
}

#[track_caller]
fn assert_version(gateway: &Gateway, version: &str) {
    assert_eq!(gateway.get("/").header("x-response-version"), version);
}

#[test]
fn a_new_file_is_a_plugin_by_its_stem_without_declaration() {
    let origin = Origin::echo();
    let gateway = Setup::new(through(&origin, "")).start();
    gateway.put_guest(guest::VERSION_ONE, "fresh");
    gateway.log.wait_for(&["plugin loaded", "fresh"]);
    assert!(gateway.ask_admin("/v1/plugins").text().contains("fresh"));
    gateway.write(&through(&origin, "\"fresh\""));
    gateway.reload();
    assert_version(&gateway, "1");
}

#[test]
fn a_replaced_file_serves_and_the_history_is_kept() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "");
    assert_version(&gateway, "1");
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
    gateway.log.wait_for(&["plugin swapped", "version"]);
    let plugins = gateway.admin_json("/v1/plugins");
    let states: Vec<_> =
        plugins["plugins"][0]["versions"].as_array().unwrap().iter().map(|v| &v["state"]).collect();
    assert_eq!(states, ["active", "previous"]);
    assert_eq!(
        gateway
            .metrics()
            .sum("edgewit_plugin_swaps_total", &[("plugin", "version"), ("result", "swapped")]),
        1.0
    );
}

#[test]
fn thirty_swaps_are_seen_by_watching_the_folder() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "");
    for n in 0..30 {
        let (guest, version) =
            if n % 2 == 0 { (guest::VERSION_TWO, "2") } else { (guest::VERSION_ONE, "1") };
        gateway.put_guest(guest, "version");
        wait_for_version(&gateway, version);
    }
}

#[test]
fn a_file_that_is_again_what_it_was_before_a_reload_serves_again() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "");
    for _ in 0..5 {
        gateway.put_guest(guest::VERSION_TWO, "version");
        wait_for_version(&gateway, "2"); // by watching
        gateway.put_guest(guest::VERSION_ONE, "version");
        gateway.reload();
        assert_version(&gateway, "1");
    }
}

#[test]
fn a_bad_version_is_refused_and_the_old_one_serves_on() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "");
    let wrong = fs::read(artifact::guest(guest::WRONG_VERSION)).unwrap();
    let table: [(&[u8], &str); 3] = [
        (&wrong, "was built for edgewit:filter@0.9.0"),
        (b"no wasm at all", "no WebAssembly component"),
        (&wrong[..wrong.len() / 2], "not complete"),
    ];
    for (n, (bytes, words)) in table.into_iter().enumerate() {
        gateway.put(bytes, "version");
        gateway.log.wait_for(&["plugin refused", words]);
        assert_version(&gateway, "1");
        let refused = [("plugin", "version"), ("result", "refused")];
        let count = gateway.metrics().sum("edgewit_plugin_swaps_total", &refused);
        assert_eq!(count, (n + 1) as f64, "{words}");
        let plugins = gateway.admin_json("/v1/plugins");
        let newest = &plugins["plugins"][0]["versions"][0];
        assert_eq!(newest["state"], "refused");
        assert!(newest["reason"]["message"].as_str().unwrap().contains(words), "{newest}");
    }
    assert_eq!(gateway.generation(), 1);
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
}

#[test]
fn a_version_that_does_not_take_the_configuration_is_refused() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, &plugin("version", "config = { body = true }"));
    gateway.put_guest(guest::STUBBORN, "version");
    gateway.log.wait_for(&["plugin refused", "unknown field `body`"]);
    assert_version(&gateway, "1");
}

#[test]
fn an_update_that_wants_more_than_is_granted_is_held_back_with_the_difference() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "");
    gateway.put_guest(guest::TALLY, "version");
    let line = gateway.log.wait_for(&["plugin refused", "E0404"]);
    for words in
        ["imports `edgewit:filter/kv`", "this one differs by +", "+kv", "allow = { kv = true }"]
    {
        assert!(line.contains(words), "no {words} in {line}");
    }
    assert_version(&gateway, "1");
}

#[test]
fn a_removed_file_serves_on_where_it_is_used_and_goes_where_it_is_not() {
    let origin = Origin::echo();
    let setup = Setup::new(through(&origin, "\"version\"")).guest_as(guest::VERSION_ONE, "version");
    let gateway = setup.guest_as(guest::COUNTER, "unused").start();
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2"); // the watcher has seen all files
    fs::remove_file(gateway.setup().plugin("version")).unwrap();
    fs::remove_file(gateway.setup().plugin("unused")).unwrap();
    gateway.log.wait_for(&["the file is gone; the loaded version serves on", "version"]);
    gateway.log.wait_for(&[r#""message":"removed""#, "unused"]);
    assert_version(&gateway, "2");
    gateway.put_guest(guest::VERSION_ONE, "version");
    wait_for_version(&gateway, "1");
}

#[test]
fn a_file_that_is_written_slowly_counts_when_it_is_complete() {
    let origin = Origin::echo();
    let gateway = versioned(&origin, "");
    let bytes = fs::read(artifact::guest(guest::VERSION_TWO)).unwrap();
    let file = gateway.setup().plugin("version");
    for part in 1..=4 {
        fs::write(&file, &bytes[..bytes.len() * part / 4 - 1]).unwrap();
        assert_version(&gateway, "1");
    }
    gateway.log.wait_for(&["plugin refused", "the file is not complete"]);
    assert_version(&gateway, "1");
    fs::write(&file, &bytes).unwrap();
    wait_for_version(&gateway, "2");
}

#[test]
fn a_swapped_symlink_is_a_new_version() {
    let origin = Origin::echo();
    let setup = Setup::new(through(&origin, "\"version\""));
    let plugins = setup.path().join("plugins");
    for (folder, guest) in [("..one", guest::VERSION_ONE), ("..two", guest::VERSION_TWO)] {
        fs::create_dir(plugins.join(folder)).unwrap();
        fs::copy(artifact::guest(guest), plugins.join(folder).join("version.wasm")).unwrap();
    }
    symlink("..one", plugins.join("..data")).unwrap();
    symlink("..data/version.wasm", plugins.join("version.wasm")).unwrap();
    let gateway = setup.start();
    assert_version(&gateway, "1");
    symlink("..two", plugins.join("..aside")).unwrap();
    fs::rename(plugins.join("..aside"), plugins.join("..data")).unwrap();
    wait_for_version(&gateway, "2");
}

#[test]
fn routes_that_do_not_use_the_plugin_are_not_touched() {
    let origin = Origin::echo();
    let toml = upstream("origin", &origin)
        + &route("all", "/{*rest}", "\"version\"")
        + &route("dice", "/dice", "\"dice\"");
    let gateway =
        Setup::new(toml).guest_as(guest::VERSION_ONE, "version").guest(guest::DICE).start();
    // What a filter drew while it was configured would be another number if it had been configured anew.
    let drawn = || gateway.get("/dice").header("x-configured").to_owned();
    let first = drawn();
    gateway.put_guest(guest::VERSION_TWO, "version");
    wait_for_version(&gateway, "2");
    assert_eq!(drawn(), first);
    gateway.reload();
    assert_eq!(drawn(), first, "a reload without changes makes nothing anew");
}

#[test]
fn a_stream_that_spans_a_swap_ends_on_its_version() {
    let (origin, mut streams) = Origin::streaming();
    let toml = through(&origin, &with("version", "body = true"));
    let gateway = Setup::new(toml).guest_as(guest::VERSION_ONE, "version").start();
    let mut client = gateway.raw();
    client.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let parts = until("the origin to be asked", || streams.try_recv().ok());
    let send = |text: &'static str| parts.send(Ok(hyper::body::Frame::data(text.into()))).unwrap();
    send("before ?");
    client.read_until("before 1");
    gateway.put_guest(guest::VERSION_TWO, "version");
    gateway.log.wait_for(&["plugin swapped"]);
    let mut later = gateway.connect();
    let next = edgewit_harness::spawn(async move { later.try_send(get("/")).await.unwrap() });
    let other = until("the origin to be asked again", || streams.try_recv().ok());
    other.send(Ok(hyper::body::Frame::data("new ?".into()))).unwrap();
    drop(other);
    let reply = edgewit_harness::block_on(next).unwrap();
    assert_eq!((reply.text().as_str(), reply.header("x-response-version")), ("new 2", "2"));
    send("after ?");
    client.read_until("after 1");
    drop(parts);
    assert!(client.read_to_end().ends_with("0\r\n\r\n"), "it ends as it should");
}
