//! What cargo builds for a run: the server and the filters.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::options::Server;

/// The maintained filters that take part.
pub(crate) const PLUGINS: [&str; 5] =
    ["api-key", "canary", "headers", "rate-limit", "access-metrics"];
/// The guest that rewrites bodies.
pub(crate) const BODY: &str = "body";
/// What cargo is told beside the profile for the build whose instructions are counted.
const COUNTED: &str = "tests/bench/counted.toml";

/// Builds the server, unless it is given, and the filters.
pub(crate) fn build(server: &Server) -> Result<()> {
    if server.no_build {
        return Ok(());
    }
    if server.binary.is_none() {
        cargo(&["build", "--profile", &server.profile, "-p", "edgewit"])?;
    }
    build_filters()
}

/// The server whose instructions are counted: the tests' build, with our own crates optimised, too.
pub(crate) fn build_counted() -> Result<()> {
    cargo(&[
        "build",
        "--workspace",
        "--bin",
        "edgewit-bench",
        "--test",
        "sandbox",
        "--config",
        COUNTED,
    ])?;
    build_plugins(&["headers"])
}

/// Where it is: this program has the server in it.
pub(crate) fn counted() -> Result<PathBuf> {
    existing(target()?.join("debug/edgewit-bench"))
}

/// Builds the filters.
pub(crate) fn build_filters() -> Result<()> {
    build_plugins(&PLUGINS)?;
    cargo(&[FILTER.as_slice(), &["-p", "edgewit-guests", "--example", BODY]].concat())
}

fn build_plugins(names: &[&str]) -> Result<()> {
    let packages: Vec<String> = names.iter().map(|n| format!("-pedgewit-plugin-{n}")).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    cargo(&[FILTER.as_slice(), &packages].concat())
}

/// How components are built.
const FILTER: [&str; 5] = ["build", "--profile", "filter", "--target", "wasm32-wasip2"];

fn cargo(args: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(args).current_dir(root()?).status()?;
    if status.success() { Ok(()) } else { bail!("cargo {} failed", args.join(" ")) }
}

/// The folder of the workspace.
pub(crate) fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no workspace")
}

fn target() -> Result<PathBuf> {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    Ok(root()?.join(set.unwrap_or_else(|| "target".into())))
}

/// The server's binary.
pub(crate) fn binary(server: &Server) -> Result<PathBuf> {
    let folder = if server.profile == "dev" { "debug" } else { &server.profile };
    existing(match &server.binary {
        Some(path) => path.clone(),
        None => target()?.join(folder).join("edgewit"),
    })
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(_) => bail!("there is no `{}`: leave `--no-build` out", path.display()),
    }
}

/// The component of a maintained filter, or of the guest for bodies.
pub(crate) fn component(name: &str) -> Result<PathBuf> {
    let folder = target()?.join("wasm32-wasip2/filter");
    Ok(match name {
        BODY => folder.join("examples/body.wasm"),
        _ => folder.join(format!("edgewit_plugin_{}.wasm", name.replace('-', "_"))),
    })
}
