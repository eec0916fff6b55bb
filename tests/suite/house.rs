//! The crates and who may use whom, as the table of the house says.

use std::{collections::BTreeMap, fs, path::Path};

use edgewit_harness::cargo;

/// Each crate and the crates of ours that it may use.
const TABLE: [(&str, &[&str]); 9] = [
    ("model", &[]),
    ("config", &["model"]),
    ("telemetry", &["model"]),
    ("chain", &["model"]),
    ("upstream", &["model", "telemetry"]),
    ("wasm", &["model", "telemetry", "chain"]),
    ("proxy", &["model", "telemetry", "chain", "upstream"]),
    ("control", &["model", "config", "telemetry", "chain", "upstream", "wasm", "proxy"]),
    ("edgewit", &["model", "config", "telemetry", "proxy", "control"]),
];

/// What only some crates may depend on: names begin like this.
const RESERVED: [(&str, &[&str]); 3] = [
    ("wasmtime", &["wasm"]),
    ("toml", &["config", "control", "edgewit"]),
    ("annotate-snippets", &["config"]),
];

#[test]
fn host_crates_use_only_the_crates_above_them() {
    let manifests = manifests(&cargo::root().join("host"));
    let known: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        manifests.keys().map(String::as_str).collect::<Vec<_>>(),
        sorted(&known),
        "the table lists all crates"
    );
    let mut wrong = Vec::new();
    for (name, may) in TABLE {
        for used in dependencies(&manifests[name], &["dependencies", "build-dependencies"]) {
            if let Some(ours) = used.strip_prefix("edgewit-")
                && !may.contains(&ours)
            {
                wrong.push(format!("host/{name} uses {used}, it may use {may:?}"));
            }
            for (reserved, owners) in RESERVED {
                if used.starts_with(reserved) && !owners.contains(&name) {
                    wrong.push(format!("host/{name} uses {used}, which belongs to {owners:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_tests_that_hold_a_promise_are_there() {
    let page = fs::read_to_string(cargo::root().join("host/SECURITY.md")).unwrap();
    let is_name = |word: &&str| {
        word.len() > 15
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let quoted = page.split('`').skip(1).step_by(2);
    let names: Vec<&str> =
        quoted.map(|text| text.rsplit("::").next().unwrap_or(text)).filter(is_name).collect();
    assert!(names.len() > 30, "the page names tests: {names:?}");
    let mut code = String::new();
    for folder in ["host", "tests"] {
        read_all(&cargo::root().join(folder), &mut code);
    }
    let missing: Vec<_> =
        names.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "no tests: {missing:#?}");
}

/// The Rust files of a folder and all below it.
fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn a_wrong_arrow_is_named() {
    let manifest: toml::Table = "[dependencies]\nedgewit-proxy.workspace = true\n\
                                 [target.'cfg(unix)'.dependencies]\nwasmtime = \"1\"\n"
        .parse()
        .unwrap();
    assert_eq!(dependencies(&manifest, &["dependencies"]), ["edgewit-proxy", "wasmtime"]);
}

#[test]
fn filters_use_the_sdk_and_nothing_of_the_host() {
    for folder in ["plugins", "examples/filters", "sdk"] {
        for (name, manifest) in manifests(&cargo::root().join(folder)) {
            let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
            for used in dependencies(&manifest, &kinds) {
                let ours = used.starts_with("edgewit-") && used != "edgewit-sdk";
                assert!(!ours, "{folder}/{name} uses {used}");
            }
        }
    }
}

#[test]
fn tests_know_the_host_by_its_outside() {
    for (name, manifest) in manifests(&cargo::root().join("tests")) {
        let host: Vec<_> = dependencies(&manifest, &["dependencies", "dev-dependencies"])
            .into_iter()
            .filter(|used| TABLE.iter().any(|(host, _)| *used == format!("edgewit-{host}")))
            .collect();
        let may = name != "guests" && name != "harness" && name != "suite";
        assert!(may || host.is_empty(), "tests/{name} uses {host:?}");
    }
}

#[test]
fn files_stay_small_enough_to_be_about_one_thing() {
    let mut long = Vec::new();
    for folder in ["host", "sdk", "plugins", "tests"] {
        walk(&cargo::root().join(folder), &mut |file| {
            let lines = fs::read_to_string(file).unwrap_or_default().lines().count();
            if lines > 600 {
                long.push(format!("{} has {lines} lines", file.display()));
            }
        });
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// The manifests of the folders in a folder, by the name of the folder.
fn manifests(folder: &Path) -> BTreeMap<String, toml::Table> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let manifest = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("Cargo.toml")).ok()?;
        Some((entry.file_name().into_string().ok()?, text.parse().unwrap()))
    };
    entries.filter_map(manifest).collect()
}

/// The names of all packages in these tables, also in those of some targets only.
fn dependencies(manifest: &toml::Table, kinds: &[&str]) -> Vec<String> {
    let targets =
        manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|t| t.values());
    let tables = targets.filter_map(toml::Value::as_table).chain([manifest]);
    let names = tables.flat_map(|table| {
        kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()).flat_map(|t| t.iter())
    });
    let mut names: Vec<String> = names
        .map(|(name, value)| {
            value.get("package").and_then(|p| p.as_str()).unwrap_or(name).to_owned()
        })
        .collect();
    names.sort();
    names
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path);
        }
    }
}
