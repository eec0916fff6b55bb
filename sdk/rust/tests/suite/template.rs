//! The template of `edgewit plugin new`, with the copy of the SDK that it gets.

use crate::{cargo, repository, scratch, toml};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

const SDK: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn a_new_filter_builds_and_passes_its_tests_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    copy(&Path::new(SDK).join("template"), path, &|text| {
        text.replace("{{name}}", "geo-block")
            .replace("{{crate_name}}", "geo_block")
            .replace("{{TypeName}}", "GeoBlock")
    });
    let sdk = path.join("edgewit-sdk");
    for part in ["src", "wit"] {
        copy(&Path::new(SDK).join(part), &sdk.join(part), &str::to_owned);
    }
    fs::rename(path.join("edgewit-sdk.Cargo.toml"), sdk.join("Cargo.toml")).unwrap();
    // The versions that this repository has, so that nothing needs to be looked up.
    fs::copy(repository().join("Cargo.lock"), path.join("Cargo.lock")).unwrap();

    let target = scratch("template");
    cargo(path, &target, &["test", "--offline"]);
    // The profile that the manifest names would build everything once more.
    cargo(path, &target, &["build", "--offline", "--target", "wasm32-wasip2"]);
    let manifest = toml(&path.join("edgewit-plugin.toml"));
    let output = manifest["build"]["output"].as_str().unwrap();
    let output = output.replace("target/", "").replace("release", "debug");
    assert!(target.join(output).is_file());
}

#[test]
fn the_copied_manifest_says_the_same_as_ours() {
    let ours = toml(&Path::new(SDK).join("Cargo.toml"));
    let copied = toml(&Path::new(SDK).join("template/edgewit-sdk.Cargo.toml"));
    let workspace = toml(&repository().join("Cargo.toml"));
    let workspace = workspace["workspace"].as_table().unwrap();

    assert_eq!(copied["features"], ours["features"]);
    let [ours_package, ours_dependencies] =
        ["package", "dependencies"].map(|table| ours[table].as_table().unwrap());
    let inherited = resolved(ours_package, workspace["package"].as_table().unwrap());
    assert_eq!(copied["package"].as_table().unwrap(), &inherited);
    let inherited = resolved(ours_dependencies, workspace["dependencies"].as_table().unwrap());
    assert_eq!(copied["dependencies"].as_table().unwrap(), &inherited);
}

/// The table with what it inherits written out.
fn resolved(table: &Table, from: &Table) -> Table {
    let resolve = |(name, value): (&String, &Value)| {
        let inherits = value.get("workspace").is_some();
        (name.clone(), if inherits { from[name].clone() } else { value.clone() })
    };
    table.iter().map(resolve).collect()
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path, change: &dyn Fn(&str) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, change);
        } else {
            fs::write(target, change(&fs::read_to_string(entry.path()).unwrap())).unwrap();
        }
    }
}
