//! `kv`, and what it means that it belongs to a plugin.

use edgewit_harness::{Origin, Setup};

use crate::common::{plugin, route, upstream};
use crate::guest;

#[test]
fn a_store_belongs_to_one_plugin_and_outlives_its_versions() {
    let origin = Origin::echo();
    let toml = upstream("origin", &origin)
        + &route("one", "/{*rest}", "\"tally\"")
        + &route("two", "/two", "\"other\"")
        + &plugin("tally", "allow = { kv = true }")
        + &plugin("other", "allow = { kv = true }");
    let gateway = Setup::new(toml).guest(guest::TALLY).guest_as(guest::TALLY, "other").start();
    let tally = |path: &str| gateway.get(path).header("x-tally").to_owned();
    assert_eq!(tally("/a"), "/a 1 first /a");
    assert_eq!(tally("/a"), "/a 2 later /a");
    assert_eq!(tally("/b"), "/b 1 later /a");
    assert_eq!(tally("/two"), "/two 1 first /two", "another plugin begins with nothing");
    gateway.reload();
    assert_eq!(tally("/a"), "/a 3 later /a", "a reload keeps it");
    let component = std::fs::read(edgewit_harness::artifact::guest(guest::TALLY)).unwrap();
    // The same component with a remark at its end is another version.
    let before = gateway.generation();
    gateway.put(&[component.as_slice(), &[0, 3, 1, b'a', b'b']].concat(), "tally");
    edgewit_harness::until("the swap", || (gateway.generation() > before).then_some(()));
    assert_eq!(tally("/a"), "/a 4 later /a", "a swap keeps it");
}
