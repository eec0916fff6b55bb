//! Edgewit itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    artifacts::{self, BODY},
    certificate::{CERT, KEY},
    contestant::{Kind, Stage, Started},
    program::{FRONT, Program, free_port},
    work::{KEY_SHA256, SUBJECT, Work},
};

pub(super) fn start(stage: &Stage<'_>) -> Result<Started> {
    let isolation = if stage.entry.kind == Kind::Reused { "worker" } else { "request" };
    let (address, admin) = (free_port()?, free_port()?);
    let [origin, next] = stage.origins;
    let tls = match stage.tls {
        true => format!("tls.files = {{ cert = \"{CERT}\", key = \"{KEY}\" }}\n"),
        false => String::new(),
    };
    let (plugins, filters) = filters(stage.entry.work, isolation);
    let upstreams = match stage.entry.work {
        Work::Five => {
            "upstreams = [{ name = \"origin\", weight = 100 }, { name = \"next\", weight = 0 }]"
        }
        _ => "upstream = \"origin\"",
    };
    let text = format!(
        "[server]\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n\
         [listeners.web]\nlisten = \"{address}\"\n{tls}{plugins}\
         [upstreams.origin]\nservers = [\"http://{origin}\"]\n\
         [upstreams.next]\nservers = [\"http://{next}\"]\n\
         [routes.bench]\nmatch = \"/{{*rest}}\"\nfilters = [{filters}]\n\
         {upstreams}\n\
         [telemetry]\naccess-log = {{ file = \"access.log\" }}\n",
    );
    let mut program = run(stage.edgewit, stage.folder, &text)?;
    program.listens_on(address)?;
    let five = stage.entry.work == Work::Five;
    let metrics = five.then_some((admin, "/metrics", "edgewit_plugin_requests_total{"));
    Ok(Started { program, address, metrics })
}

/// Writes the configuration and the components that it names into a folder, and starts the server there.
pub(crate) fn run(edgewit: &Path, folder: &Path, text: &str) -> Result<Program> {
    let file = lay_out(folder, text)?.display().to_string();
    Program::start(FRONT, edgewit, &["run", "--quiet", "-c", &file])
}

/// Puts everything into a folder; the file with the configuration.
pub(crate) fn lay_out(folder: &Path, text: &str) -> Result<PathBuf> {
    let plugins = folder.join("plugins");
    fs::create_dir_all(&plugins)?;
    for name in artifacts::PLUGINS.into_iter().chain([BODY]) {
        if text.contains(&format!("[plugins.{name}]")) {
            let from = artifacts::component(name)?;
            let to = plugins.join(format!("{name}.wasm"));
            fs::copy(from, to).with_context(|| format!("the filter `{name}` is not built"))?;
        }
    }
    let file = folder.join("edgewit.toml");
    fs::write(&file, text)?;
    Ok(file)
}

/// The tables of plugins, and the list of a route.
fn filters(work: Work, isolation: &str) -> (String, String) {
    match work {
        Work::Pass => Default::default(),
        Work::Fields(count) => {
            let uses: Vec<String> = (0..count).map(header_filter).collect();
            (plugin("headers", isolation), uses.join(", "))
        }
        Work::Rewrite => {
            let config =
                "config = { direction = \"response\", mode = \"stream\", act = \"upper\" }\n";
            (plugin(BODY, isolation) + config, format!("\"{BODY}\""))
        }
        Work::Five => (five(isolation), FIVE.to_owned()),
    }
}

/// A use of `headers` that sets one request field and one response field.
pub(crate) fn header_filter(n: usize) -> String {
    let set = format!("{{ set = {{ x-bench-{n} = \"1\" }} }}");
    format!("{{ plugin = \"headers\", config = {{ request = {set}, response = {set} }} }}")
}

/// A plugin's table, to which lines can be added.
pub(crate) fn plugin(name: &str, isolation: &str) -> String {
    format!("[plugins.{name}]\nisolation = \"{isolation}\"\n")
}

const FIVE: &str = "\"access-metrics\", \"api-key\", \"canary\", \"headers\", \"rate-limit\"";

fn five(isolation: &str) -> String {
    let plugin = |name, rest: &str| plugin(name, isolation) + rest;
    [
        plugin("access-metrics", ""),
        plugin(
            "api-key",
            &format!(
                "config = {{ keys = [{{ subject = \"{SUBJECT}\", sha256 = \"{KEY_SHA256}\" }}] }}\n"
            ),
        ),
        plugin(
            "canary",
            "config = { rules = [{ upstream = \"next\", \
             header = { name = \"x-canary\", equals = \"always\" } }] }\n",
        ),
        plugin(
            "headers",
            "config = { request = { set = { x-user = \"{subject}\", x-bench-0 = \"1\" } }, \
             response = { set = { x-bench-0 = \"1\" } } }\n",
        ),
        plugin(
            "rate-limit",
            "allow = { rate = true }\nconfig = { rate = \"1000000/s\", burst = 1000000, \
             key = \"header:x-tenant\", missing = \"refuse\" }\n",
        ),
    ]
    .concat()
}
