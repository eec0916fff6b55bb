//! What many tests begin with.

use std::fmt::Write;

use edgewit_harness::{Origin, Reply};

/// One route to one origin through these filters, which stand as TOML writes them.
pub(crate) fn through(origin: &Origin, filters: &str) -> String {
    upstream("origin", origin) + &route("all", "/{*rest}", filters)
}

/// An upstream with one server.
pub(crate) fn upstream(name: &str, origin: &Origin) -> String {
    format!("[upstreams.{name}]\nservers = [\"{}\"]\n", origin.url())
}

/// A route to the upstream `origin`.
pub(crate) fn route(name: &str, path: &str, filters: &str) -> String {
    format!("[routes.{name}]\nmatch = \"{path}\"\nupstream = \"origin\"\nfilters = [{filters}]\n")
}

/// A filter with its configuration, at its place in a chain.
pub(crate) fn with(plugin: &str, config: &str) -> String {
    format!("{{ plugin = \"{plugin}\", config = {{ {config} }} }}")
}

/// The configuration of a plugin.
pub(crate) fn plugin(name: &str, keys: &str) -> String {
    format!("[plugins.{name}]\n{keys}\n")
}

/// Puts texts together.
pub(crate) fn all<T: AsRef<str>>(parts: impl IntoIterator<Item = T>) -> String {
    parts.into_iter().fold(String::new(), |mut all, part| {
        let _ = writeln!(all, "{}", part.as_ref());
        all
    })
}

/// Fails unless the response has this status.
#[track_caller]
pub(crate) fn assert_status(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
}
