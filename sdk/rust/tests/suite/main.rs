//! What only a real build shows: the components that come out, and the copy of the SDK that filters carry.

mod component;

mod template;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs cargo in a folder with its results in `target`, and demands that it succeeds.
fn cargo(folder: &Path, target: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO"))
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        // These are of the build that runs this test.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .args(arguments)
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}:\n{text}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where the repository is built, so that what is built there already is not built again.
fn built() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("..").canonicalize().unwrap()
}

/// Where this test may build something else.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn toml(path: &Path) -> toml::Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
