//! Another version of a plugin by command: `edgewit plugin list|swap|rollback|disable|enable` and the endpoint behind it.

use edgewit_harness::{
    Ask, Connection, Gateway, Origin, Outcome, Protocol, Reply, Setup, artifact, ask, get, post,
    program, until,
};
use serde_json::Value;

use crate::common::{assert_status, plugin, route, through, upstream};
use crate::guest;

fn versioned(origin: &Origin) -> Gateway {
    Setup::new(through(origin, "\"version\"")).guest_as(guest::VERSION_ONE, "version").start()
}

/// Runs `edgewit plugin ...` against a gateway.
fn command(gateway: &Gateway, arguments: &[&str]) -> Outcome {
    let admin = gateway.admin().to_string();
    let mut command = std::process::Command::new(program::path());
    command.arg("plugin").args(arguments).args(["--admin", &admin]);
    program::run(command.current_dir(gateway.setup().path()))
}

fn file(guest: &str) -> String {
    artifact::guest(guest).display().to_string()
}

fn serving(gateway: &Gateway) -> String {
    gateway.get("/").header("x-response-version").to_owned()
}

fn standing(gateway: &Gateway) -> Value {
    gateway.admin_json("/v1/plugins/version")["standing"].clone()
}

/// A request that changes something, as it has to be.
fn write(path: &str, body: &str) -> Ask {
    post(path, body.to_owned())
        .header("x-edgewit-admin", "1")
        .header("content-type", "application/json")
}

fn send(gateway: &Gateway, ask: Ask) -> Reply {
    Connection::open(gateway.admin(), Protocol::H1).send(ask)
}

#[test]
fn a_file_is_swapped_in_rolled_back_and_swapped_in_again() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    let said = command(&gateway, &["swap", "version", &file(guest::VERSION_TWO)]).ok();
    assert!(said.contains("serves"), "{said}");
    assert_eq!(serving(&gateway), "2");
    let now = standing(&gateway);
    assert_eq!((&now["pinned"], &now["astray"]), (&true.into(), &true.into()), "{now}");

    let listed = command(&gateway, &["list"]).ok();
    for words in ["active", "previous", "not what is in the file"] {
        assert!(listed.contains(words), "no {words} in\n{listed}");
    }
    command(&gateway, &["rollback", "version"]).ok();
    assert_eq!(serving(&gateway), "1");
    assert_eq!(standing(&gateway)["pinned"], false, "it is what is in the file");
    let twice = command(&gateway, &["rollback", "version"]).failed();
    assert!(twice.contains("no version of `version` to go back to"), "{twice}");
    assert_eq!(serving(&gateway), "1");

    let left = standing(&gateway)["candidate"].as_str().unwrap().to_owned();
    command(&gateway, &["swap", "version", &left[..20]]).ok();
    assert_eq!(serving(&gateway), "2");
    let again = command(&gateway, &["swap", "version", &left]).failed();
    assert!(again.contains("serves already"), "{again}");
    let events = gateway.admin_json("/v1/events").to_string();
    assert!(events.contains("rollback version") && events.contains("refused: "), "{events}");
}

#[test]
fn a_reload_keeps_what_was_decided_a_changed_file_and_a_restart_end_it() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    command(&gateway, &["swap", "version", &file(guest::VERSION_TWO)]).ok();
    gateway.reload();
    assert_eq!(serving(&gateway), "2", "nobody has changed the file");
    let gateway = gateway.stop().start();
    assert_eq!(serving(&gateway), "1");
    command(&gateway, &["swap", "version", &file(guest::VERSION_TWO)]).ok();
    gateway.put_guest(guest::COUNTER, "version");
    gateway.log.wait_for(&["the file has changed and counts again"]);
    until("the file to serve", || {
        gateway.get("/").header("x-response-version").is_empty().then_some(())
    });
    let now = standing(&gateway);
    assert_eq!((&now["pinned"], &now["astray"]), (&false.into(), &false.into()), "{now}");
}

#[test]
fn a_version_that_cannot_serve_is_refused_with_its_reason() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    let refused = command(&gateway, &["swap", "version", &file(guest::WRONG_VERSION)]).failed();
    assert!(refused.contains("E0402") && refused.contains("help: rebuild"), "{refused}");
    let unknown = command(&gateway, &["swap", "version", "deadbeef"]).failed();
    assert!(unknown.contains("no version `deadbeef` is kept"), "{unknown}");
    let nobody = command(&gateway, &["rollback", "nobody"]).failed();
    assert!(nobody.contains("there is no plugin `nobody`"), "{nobody}");
    assert_eq!((serving(&gateway).as_str(), gateway.generation()), ("1", 1));
}

#[test]
fn without_a_server_the_commands_say_so() {
    let setup = Setup::new("");
    let said = setup.run(&["plugin", "list", "--admin", "127.0.0.1:1"]).failed();
    assert!(said.contains("no running server answers at 127.0.0.1:1"), "{said}");
    let said = setup.run(&["plugin", "list"]).failed();
    assert!(said.contains("leaves the port") || said.contains("--admin"), "{said}");
}

#[test]
fn a_disabled_plugin_is_in_no_chain_until_it_is_enabled() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    command(&gateway, &["disable", "version"]).ok();
    assert_eq!(serving(&gateway), "");
    assert!(command(&gateway, &["list"]).ok().contains("disabled"));
    gateway.reload();
    assert_eq!(serving(&gateway), "", "a reload is no reason to enable it");
    assert!(command(&gateway, &["disable", "version"]).failed().contains("already"));
    command(&gateway, &["enable", "version"]).ok();
    assert_eq!(serving(&gateway), "1");
}

#[test]
fn a_plugin_that_authenticates_is_disabled_only_by_force() {
    let origin = Origin::echo();
    let toml = upstream("origin", &origin) + &route("all", "/{*rest}", "\"gatekeeper\"");
    let gateway = Setup::new(toml).guest(guest::GATEKEEPER).start();
    let refused = command(&gateway, &["disable", "gatekeeper"]).failed();
    assert!(refused.contains("authenticates requests"), "{refused}");
    assert_status(&gateway.get("/"), 401);
    command(&gateway, &["disable", "gatekeeper", "--force"]).ok();
    assert_status(&gateway.get("/"), 200);
    command(&gateway, &["enable", "gatekeeper"]).ok();
    assert_status(&gateway.get("/"), 401);
}

#[test]
fn a_change_needs_what_a_page_in_a_browser_cannot_send() {
    let origin = Origin::echo();
    let gateway = versioned(&origin);
    let swap = "/v1/plugins/version:disable";
    let bare = |path: &str| post(path, "{}");
    let meant = |path: &str| bare(path).header("x-edgewit-admin", "1");
    let json = "application/json";
    let cases = [
        (get(swap), 405),
        (ask("OPTIONS", swap).header("origin", "http://evil.example"), 405),
        (bare(swap).header("content-type", json), 403),
        (bare(swap).header("content-type", json).header("x-edgewit-admin", "0"), 403),
        (meant(swap).header("content-type", json).header("origin", "http://localhost"), 403),
        (meant(swap).header("content-type", "text/plain"), 415),
        (meant(swap), 415),
        (write(swap, "{\"force\": 1}"), 400),
        (write(swap, "{\"fource\": true}"), 400),
        (write("/v1/plugins/version:swap", ""), 400),
        (write(swap, &format!("{{\"force\": {}true}}", " ".repeat(5_000))), 413),
        (write("/v1/plugins/version/versions", "{}"), 415),
        (write("/v1/plugins/nobody:enable", "{}"), 404),
        (write("/v1/plugins/version:enable", "{}"), 409),
    ];
    for (n, (ask, status)) in cases.into_iter().enumerate() {
        let reply = send(&gateway, ask);
        assert_eq!(reply.status, status, "case {n}: {}", reply.text());
        assert_eq!(reply.header("access-control-allow-origin"), "", "case {n}");
        assert!(reply.header("content-type").contains("problem+json"), "case {n}");
    }
    let rebound = write(swap, "{}").header("host", "evil.example");
    assert_ne!(send(&gateway, rebound).status, 200);
    assert_eq!(serving(&gateway), "1");
    assert_status(&send(&gateway, write("/v1/reload", "{}")), 200);
    assert_eq!(gateway.generation(), 2);
}

#[test]
fn an_upload_is_checked_and_bounded_and_does_not_serve_by_itself() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"version\"") + &plugin("version", "limits.file-size = \"8MiB\"");
    let gateway = Setup::new(toml).guest_as(guest::VERSION_ONE, "version").start();
    let upload = |bytes: Vec<u8>| {
        let ask = post("/v1/plugins/version/versions", bytes).header("x-edgewit-admin", "1");
        send(&gateway, ask.header("content-type", "application/wasm"))
    };
    assert_status(&upload(vec![0; (8 << 20) + 1]), 413);
    let refused = upload(b"no wasm".to_vec());
    assert_status(&refused, 422);
    assert_eq!(refused.json()["diagnostics"][0]["code"], "E0401");
    let taken = upload(std::fs::read(artifact::guest(guest::VERSION_TWO)).unwrap());
    assert_status(&taken, 201);
    let digest = taken.json()["digest"].as_str().unwrap().to_owned();
    assert_eq!((serving(&gateway).as_str(), gateway.generation()), ("1", 1));
    assert_eq!(standing(&gateway)["candidate"], digest.as_str());
    let versions = gateway.admin_json("/v1/plugins/version/versions")["versions"].clone();
    let states: Vec<_> =
        versions.as_array().unwrap().iter().map(|v| v["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["candidate", "refused", "active"]);
    let swap = format!("{{\"version\": \"{digest}\"}}");
    assert_status(&send(&gateway, write("/v1/plugins/version:swap", &swap)), 200);
    assert_eq!(serving(&gateway), "2");
}
