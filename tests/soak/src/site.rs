//! The gateway under soak.

use std::path::Path;

use edgewit_harness::{Gateway, Origin, Setup};

/// A gateway, and the origin behind it.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    origin: Origin,
}

/// Filters that only hostile clients reach, and how they may go wrong again and again: in quarantine they would not be
/// called any more. One goes there.
const HOSTILE: [(&str, &str); 7] = [
    ("trap", "quarantine = \"off\"\n"),
    ("spin", "quarantine = \"off\"\nlimits = { time = \"20ms\" }\n"),
    ("memory_bomb", "quarantine = \"off\"\n"),
    ("recursion", "quarantine = \"off\"\n"),
    ("log_flood", "quarantine = \"off\"\n"),
    ("metric_flood", "quarantine = \"off\"\n"),
    ("fail", "quarantine = { stops = 3, window = \"60s\", probe = \"200ms\" }\n"),
];

impl Site {
    /// Starts it.
    pub(crate) fn start(program: Option<&Path>) -> Self {
        let origin = Origin::forgetful();
        let mut setup = Setup::new(toml(&origin.url(), 0)).own_state();
        setup = setup.guest_as("version_one", "version").guest("marker").guest("body");
        for (name, _) in HOSTILE {
            setup = setup.guest(name);
        }
        if let Some(program) = program {
            setup = setup.program(&program.display().to_string());
        }
        Self { gateway: setup.start(), origin }
    }

    /// Writes another configuration: `n` is in the name of a route, of an upstream and of a filter's configuration, so that
    /// everything that goes by names has to come and go.
    pub(crate) fn write(&self, n: u64) {
        self.gateway.write(&toml(&self.origin.url(), n));
    }
}

fn toml(origin: &str, n: u64) -> String {
    let mut toml = format!(
        r#"
[telemetry]
access-log = "off"
log = {{ level = "error" }}

[upstreams.origin]
servers = ["{origin}"]
[upstreams.other-{n}]
servers = ["{origin}"]
health = {{ path = "/healthz", interval = "200ms" }}

[plugins.marker]
config = {{ name = "unused" }}

[routes.plain]
match = "/plain/{{*rest}}"
upstream = "origin"
[routes.version]
match = "/version"
upstream = "origin"
filters = ["version"]
[routes.signed]
match = "/signed"
upstream = "origin"
filters = [{{ plugin = "version", config = {{ body = true }} }}]
[routes.chain]
match = "/chain"
upstream = "origin"
filters = [
    {{ plugin = "marker", config = {{ name = "m{n}" }} }},
    "version",
    {{ plugin = "body", config = {{ direction = "request", mode = "stream", act = "upper" }} }},
]
[routes.other-{n}]
match = "/other/{{*rest}}"
upstream = "other-{n}"
filters = ["version"]
"#
    );
    for (name, keys) in HOSTILE {
        toml += &format!(
            "[plugins.{name}]\n{keys}[routes.{name}]\nmatch = \"/hostile/{name}\"\n\
             upstream = \"origin\"\nfilters = [\"{name}\"]\n"
        );
    }
    toml
}
