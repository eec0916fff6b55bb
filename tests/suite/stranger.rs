//! A stranger's first filter: made from the template, built, tested, dropped into a running gateway.

use std::{fs, process::Command};

use edgewit_harness::{Origin, Setup, cargo, get, program};

use crate::common::{through, with};

#[test]
fn a_filter_from_the_template_serves() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program::path());
        // What the filter depends on is built once and kept, as it would be on the stranger's machine.
        command.env("CARGO_TARGET_DIR", cargo::target_dir().join("stranger"));
        program::run(command.args(arguments).current_dir(home.path())).ok()
    };
    run(&["plugin", "new", "first-try"]);
    let folder = home.path().join("first-try");
    assert!(folder.join("src/lib.rs").is_file());
    std::os::unix::fs::symlink(cargo::target_dir().join("stranger"), folder.join("target"))
        .unwrap();
    run(&["plugin", "build", "--dir", "first-try"]);
    run(&["plugin", "test", "--dir", "first-try"]);
    let inspected = run(&["plugin", "inspect", "first-try/first-try.wasm"]);
    assert!(inspected.contains("first-try"), "{inspected}");

    let origin = Origin::echo();
    let gateway = Setup::new(through(&origin, "")).start();
    assert_eq!(gateway.send(get("/").header("x-country", "KP")).status, 200);
    gateway.put(&fs::read(folder.join("first-try.wasm")).unwrap(), "first-try");
    gateway.write(&through(&origin, &with("first-try", "blocked = [\"KP\"]")));
    gateway.reload();
    gateway.send(get("/").header("x-country", "KP")).assert_problem(403);
    let reply = gateway.send(get("/").header("x-country", "KR"));
    assert_eq!((reply.status, reply.echoed("x-geo").as_str()), (200, "KR"));
    assert_eq!(origin.seen().len(), 2);
}
