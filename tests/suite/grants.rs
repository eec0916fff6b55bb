//! What is refused when it is loaded, with words that name the difference and the way out.

use edgewit_harness::{Setup, component};

use crate::common::plugin;
use crate::guest;

const ROUTE: &str = "[routes.all]\nmatch = \"/\"\nrespond = {}\nfilters = [\"PLUGIN\"]\n";

/// `edgewit check` refuses this component with all these words.
#[track_caller]
fn check(setup: Setup, words: &[&str]) {
    let said = setup.run(&["check"]).failed();
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
}

fn using(name: &str) -> Setup {
    Setup::new(ROUTE.replace("PLUGIN", name)).guest(name)
}

#[test]
fn a_capability_that_is_not_granted_is_named_with_the_line_that_grants_it() {
    check(
        using(guest::TALLY),
        &[
            "E0404",
            "`tally` wants a capability that is not granted",
            "edgewit:filter/kv",
            "allow = { kv = true }",
        ],
    );
    let granted = ROUTE.replace("PLUGIN", "tally") + &plugin("tally", "allow = { kv = true }");
    Setup::new(granted).guest(guest::TALLY).run(&["check"]).ok();
    let taken = ROUTE.replace("PLUGIN", "dice") + &plugin("dice", "allow = { random = false }");
    check(
        Setup::new(taken).guest(guest::DICE),
        &["E0404", "edgewit:filter/random", "edgewit.toml:", "[plugins.dice]"],
    );
}

#[test]
fn another_version_of_the_contract_is_named() {
    let words = [
        "E0402",
        "edgewit:filter@0.9.0",
        "edgewit:filter@0.1.0",
        "rebuild it",
        "edgewit plugin build",
    ];
    check(using(guest::WRONG_VERSION), &words);
}

#[test]
fn another_shape_of_a_phase_is_named() {
    check(
        using(guest::WRONG_SHAPE),
        &["E0402", "`wrong_shape` does not fit the contract: `request`: ", "mismatch"],
    );
}

#[test]
fn an_import_that_the_host_does_not_have_is_named() {
    check(using(guest::UNKNOWN_IMPORT), &["E0402", "somebody:elses/database"]);
}

#[test]
fn a_component_without_a_phase_is_refused() {
    check(using(guest::NO_PHASE), &["E0402", "`no_phase` exports no phase"]);
}

#[test]
fn files_that_are_no_components_are_named_for_what_they_are() {
    let core = component::module("(module (func (export \"on-request\")))");
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0";
    let table: [(&[u8], &str); 4] = [
        (&core, "core module"),
        (elf, "no WebAssembly"),
        (b"hello", "no WebAssembly"),
        (b"", "not complete"),
    ];
    for (bytes, words) in table {
        let setup = Setup::new(ROUTE.replace("PLUGIN", "odd")).file("plugins/odd.wasm", bytes);
        check(setup, &["`odd` cannot be loaded from", words]);
    }
    check(Setup::new(ROUTE.replace("PLUGIN", "nowhere")), &["E0201", "no plugin named `nowhere`"]);
    let declared = ROUTE.replace("PLUGIN", "nowhere") + &plugin("nowhere", "");
    let missing = Setup::new(declared);
    check(missing, &["E0401", "nowhere.wasm", "there is no such file", "put the file there"]);
}

#[test]
fn a_truncated_component_is_refused_wherever_it_ends() {
    let whole = std::fs::read(edgewit_harness::artifact::guest(guest::COUNTER)).unwrap();
    for percent in [1, 7, 25, 50, 75, 93, 99] {
        let part = &whole[..whole.len() * percent / 100];
        let setup = Setup::new(ROUTE.replace("PLUGIN", "part")).file("plugins/part.wasm", part);
        check(setup, &["`part`"]);
    }
}
