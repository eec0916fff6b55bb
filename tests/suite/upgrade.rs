//! Another process takes the place of a running one, and nobody notices.

use std::{fs, os::unix::fs::symlink};

use edgewit_harness::{Gateway, Load, Protocol, Setup, get, program, until};
use rustix::process::Signal;

const BODY: &str = "[routes.all]\nmatch = \"/\"\nrespond = { body = \"BODY\" }\n";
const QUICK: &str = "workers = 2\ndrain-timeout = \"20s\"\nupgrade-timeout = \"60s\"\n";

fn body(text: &str) -> String {
    BODY.replace("BODY", text)
}

fn setup() -> Setup {
    Setup::new(body("first")).server(QUICK).argument("--pid-file").argument("pid")
}

/// Nothing came of an upgrade: the same process serves the same.
#[track_caller]
fn assert_unchanged(gateway: &mut Gateway, why: &str) {
    let pid = gateway.pid();
    gateway.signal(Signal::USR2);
    gateway.log.wait_for(&["the upgrade has failed, this process serves on", why]);
    assert!(!gateway.has_ended());
    assert_eq!((gateway.get("/").text().as_str(), gateway.pid()), ("first", pid));
    assert_eq!(gateway.ask_admin("/readyz").status, 200);
    let events = gateway.admin_json("/v1/status")["events"].to_string();
    assert!(events.contains("\"upgrade\""), "{events}");
}

#[test]
fn upgrades_under_load_fail_no_request() {
    let mut gateway = setup().start();
    let load = |protocol, connections| {
        let judge = |reply: &edgewit_harness::Reply| match reply.status {
            200 => Ok(()),
            status => Err(format!("status {status}")),
        };
        Load::start(gateway.address(), protocol, connections, get("/"), judge)
    };
    let loads = [load(Protocol::H1, 4), load(Protocol::H2, 2)];
    for text in ["second", "third", "fourth"] {
        loads.iter().for_each(|load| load.let_pass(200));
        gateway.write(&body(text));
        gateway.upgrade();
        assert_eq!(gateway.get("/").text(), text, "the new process reads the new configuration");
        assert_eq!(gateway.ask_admin("/readyz").status, 200);
    }
    loads.iter().for_each(|load| load.let_pass(200));
    for load in loads {
        load.stop().assert_clean();
    }
    let pid = fs::read_to_string(gateway.setup().path().join("pid")).unwrap();
    assert_eq!(pid.trim(), gateway.pid().as_raw_nonzero().to_string(), "the file is the new one's");
}

#[test]
fn a_request_in_flight_is_finished_by_the_process_that_began_it() {
    let (origin, mut streams) = edgewit_harness::Origin::streaming();
    let toml = crate::common::through(&origin, "");
    let setup = Setup::new(toml).server(QUICK).argument("--pid-file").argument("pid");
    let mut gateway = setup.start();
    let mut client = gateway.raw();
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let parts = until("the origin to be asked", || streams.try_recv().ok());
    let part = |text: &'static str| Ok(hyper::body::Frame::data(text.into()));
    parts.send(part("before")).unwrap();
    client.read_until("before");
    let upgraded = std::thread::spawn(move || {
        gateway.upgrade();
        gateway
    });
    parts.send(part("after")).unwrap();
    client.read_until("after");
    drop(parts);
    client.read_until("0\r\n\r\n");
    drop(client);
    drop(upgraded.join().unwrap());
}

#[test]
fn a_new_process_that_cannot_start_changes_nothing() {
    let mut gateway = setup().start();
    gateway.write("[routes.all\n");
    assert_unchanged(&mut gateway, "ended before it served");
    gateway.write(&body("second"));
    gateway.upgrade();
    assert_eq!(gateway.get("/").text(), "second");
}

#[test]
fn a_new_program_that_is_missing_or_never_serves_changes_nothing() {
    let setup = setup().server("workers = 1\nupgrade-timeout = \"500ms\"\n").program("edgewit");
    let link = setup.path().join("edgewit");
    symlink(program::path(), &link).unwrap();
    let mut gateway = setup.start();
    fs::remove_file(&link).unwrap();
    assert_unchanged(&mut gateway, "cannot be started");
    symlink("/bin/cat", &link).unwrap();
    assert_unchanged(&mut gateway, "ended before it served");
    fs::remove_file(&link).unwrap();
    fs::write(&link, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&link, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_unchanged(&mut gateway, "did not serve within 500ms");
}
