//! The components that tests use, built from their sources once in each process.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::cargo;

/// A filter of `tests/guests`, by the stem of its file.
pub fn guest(name: &str) -> PathBuf {
    artifact(&format!("examples/{name}.wasm"))
}

/// A filter of `plugins`, by the name of its folder.
pub fn maintained(name: &str) -> PathBuf {
    artifact(&format!("edgewit_plugin_{}.wasm", name.replace('-', "_")))
}

/// The filter of `examples/filters/hello`.
pub fn hello() -> PathBuf {
    artifact("hello.wasm")
}

/// The folder of the maintained filters' sources.
pub fn plugins() -> PathBuf {
    cargo::root().join("plugins")
}

/// Names of all maintained filters.
pub fn all_maintained() -> Vec<String> {
    let entries = fs::read_dir(plugins()).expect("`plugins` can be read");
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let sources = folders.filter(|folder| folder.join("Cargo.toml").is_file());
    let name = |folder: PathBuf| Some(folder.file_name()?.to_str()?.to_owned());
    let mut names: Vec<String> = sources.filter_map(name).collect();
    names.sort();
    names
}

fn artifact(path: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(build);
    let file = folder.join(path);
    assert!(file.is_file(), "there is no {}", file.display());
    file
}

fn build() -> PathBuf {
    let packages: Vec<String> =
        all_maintained().iter().map(|n| format!("-pedgewit-plugin-{n}")).collect();
    let mut arguments = vec![
        "--profile",
        "filter",
        "--target",
        cargo::WASM,
        "--lib",
        "--examples",
        "-pedgewit-guests",
        "-pedgewit-example-hello",
    ];
    arguments.extend(packages.iter().map(String::as_str));
    cargo::build(&arguments);
    cargo::target_dir().join(Path::new(cargo::WASM)).join("filter")
}
