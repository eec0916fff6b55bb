//! A component exports its phases and imports what it calls.

use crate::{built, cargo, repository, toml};
use std::path::{Path, PathBuf};
use wit_component::DecodedWasm;

/// The maintained filters and the examples, built together because the linker is most of the work.
#[test]
fn components_import_what_their_manifests_say_and_nothing_else() {
    let target = built();
    let filters = filters();
    let mut arguments = vec!["build", "--profile", "filter", "--target", "wasm32-wasip2"];
    let packages: Vec<_> = filters.iter().map(|folder| package(folder)).collect();
    for package in &packages {
        arguments.extend(["-p", package]);
    }
    cargo(&repository(), &target, &arguments);

    for folder in filters {
        let manifest = toml(&folder.join("edgewit-plugin.toml"));
        let output = manifest["build"]["output"].as_str().unwrap();
        let file = Path::new(output).file_name().unwrap();
        let component = target.join("wasm32-wasip2/filter").join(file);
        let (imports, exports) = worlds(&std::fs::read(component).unwrap());

        let mut required: Vec<_> = manifest["requires"].as_array().unwrap().iter().collect();
        required.sort_by_key(|name| name.as_str().map(str::to_owned));
        let required: Vec<_> = required
            .iter()
            .map(|name| format!("edgewit:filter/{}@0.1.0", name.as_str().unwrap()))
            .collect();
        assert_eq!(imports, required, "imports of {}", folder.display());
        assert_eq!(exports, exported(&folder), "exports of {}", folder.display());
    }
}

/// Folders with a manifest of a filter in Rust.
fn filters() -> Vec<PathBuf> {
    let mut found: Vec<_> = ["plugins", "examples/filters"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(repository().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.join("Cargo.toml").is_file() && path.join("edgewit-plugin.toml").is_file()
        })
        .collect();
    found.sort();
    assert!(found.len() > 1);
    found
}

fn package(folder: &Path) -> String {
    toml(&folder.join("Cargo.toml"))["package"]["name"].as_str().unwrap().to_owned()
}

/// What the macro in the source names.
fn exported(folder: &Path) -> Vec<String> {
    let source = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap();
    let (_, after) = source.split_once("edgewit_sdk::export!(").expect("a filter exports phases");
    let (macro_arguments, _) = after.split_once(");").unwrap();
    let (_, phases) = macro_arguments.split_once(':').unwrap();
    let mut names: Vec<_> = phases
        .split(',')
        .map(|phase| format!("edgewit:filter/{}@0.1.0", phase.trim().replace('_', "-")))
        .collect();
    names.sort();
    names
}

/// Names of imports, without `types`, which has no functions, and of exports.
fn worlds(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let decoded = wit_component::decode(component).unwrap();
    let DecodedWasm::Component(resolve, world) = &decoded else { panic!("no component") };
    let world = &resolve.worlds[*world];
    let [mut imports, mut exports] = [&world.imports, &world.exports]
        .map(|items| items.keys().map(|key| resolve.name_world_key(key)).collect::<Vec<String>>());
    imports.retain(|name| name != "edgewit:filter/types@0.1.0");
    imports.sort();
    exports.sort();
    (imports, exports)
}
