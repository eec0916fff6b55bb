//! Building what the tests run, with the cargo that builds the tests.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The folder of the whole project.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the harness lies two folders down").to_path_buf()
}

/// The folder that the running test was built into, such as `target/debug`.
pub fn profile_dir() -> PathBuf {
    let test = env::current_exe().expect("a process knows its program");
    let mut above = test.ancestors().skip(1);
    let folder = above.find(|folder| !folder.ends_with("deps")).expect("tests lie below `deps`");
    folder.to_path_buf()
}

/// The folder of everything that is built.
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("profiles lie in the target folder").to_path_buf()
}

/// Runs `cargo build` with these arguments; cargo's own lock keeps processes from building at the same time.
pub(crate) fn build(arguments: &[&str]) {
    let mut output = try_build(arguments);
    if target_is_missing(&output) {
        let added =
            Command::new("rustup").args(["target", "add", WASM]).current_dir(root()).status();
        assert!(added.is_ok_and(|status| status.success()), "`rustup target add {WASM}` failed");
        output = try_build(arguments);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`cargo build {}` failed:\n{words}", arguments.join(" "));
}

/// What filters are built for.
pub(crate) const WASM: &str = "wasm32-wasip2";

fn try_build(arguments: &[&str]) -> Output {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg("build").arg("--target-dir").arg(target_dir()).args(arguments).current_dir(root());
    command.output().expect("cargo can be run")
}

fn target_is_missing(output: &Output) -> bool {
    let words = String::from_utf8_lossy(&output.stderr);
    !output.status.success() && words.contains("target may not be installed")
}
