//! `edgewit plugin new`: a filter that works, to be changed. Everything is inside the program, so it works offline.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};

use crate::{cli::Language, screen::Screen};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Folder of the SDK in a filter's folder.
const SDK: &str = "edgewit-sdk";
/// The SDK's manifest among the files of the template.
const SDK_MANIFEST: &str = "edgewit-sdk.Cargo.toml";
/// Names that cargo or Rust keep for themselves; the most likely ones.
const TAKEN: [&str; 8] =
    ["edgewit-sdk", "edgewit_sdk", "std", "core", "alloc", "test", "serde", "proc-macro"];

/// Writes a filter into a new folder of its name.
pub(crate) fn run(name: &str, lang: Language, screen: Screen) -> anyhow::Result<ExitCode> {
    let Language::Rust = lang;
    let folder = Path::new(name);
    ensure!(!folder.exists(), "`{name}` is there already");
    let files = render(name)?;
    for (path, text) in &files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot make `{}`", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    let own = files.iter().filter(|(path, _)| !path.starts_with(SDK));
    let own: Vec<_> = own.map(|(path, _)| path.display().to_string()).collect();
    if screen.is_json() {
        let all: Vec<_> = files.iter().map(|(path, _)| path).collect();
        screen.json(&serde_json::json!({ "created": name, "files": all }))?;
    } else {
        screen.note(format!(
            "created {name}/  (rust; needs: rustup target add wasm32-wasip2)\n  {}  {SDK}/ (vendored)\n\
             Next  cd {name} && edgewit plugin build && edgewit plugin test",
            own.join("  ")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Paths below the filter's folder, and what stands there.
fn render(name: &str) -> anyhow::Result<Vec<(PathBuf, String)>> {
    check(name)?;
    let (crate_name, type_name) = (name.replace('-', "_"), type_name(name));
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{crate_name}}", &crate_name)
            .replace("{{TypeName}}", &type_name)
    };
    let sdk = Path::new(SDK);
    let mut files = Vec::new();
    for (path, text) in embedded::TEMPLATE {
        match *path {
            SDK_MANIFEST => files.push((sdk.join("Cargo.toml"), (*text).to_owned())),
            path => files.push((PathBuf::from(path), fill(text))),
        }
    }
    for (below, part) in [("src", embedded::SDK), ("wit", embedded::WIT)] {
        let file = |(path, text): &(&str, &str)| (sdk.join(below).join(path), (*text).to_owned());
        files.extend(part.iter().map(file));
    }
    Ok(files)
}

fn check(name: &str) -> anyhow::Result<()> {
    edgewit_model::PluginName::new(name).with_context(|| format!("`{name}`"))?;
    let letters = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !letters || name.contains('.') || TAKEN.contains(&name) {
        bail!(
            "`{name}` cannot be a crate: begin with a letter, leave out dots and names of others"
        );
    }
    Ok(())
}

fn type_name(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    };
    name.split(['-', '_']).map(word).collect::<Vec<String>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_whole_and_has_no_gaps() {
        let files = render("geo-block").unwrap();
        let text = |path: &str| {
            let found = files.iter().find(|(p, _)| p == Path::new(path));
            found.map(|(_, text)| text.as_str()).unwrap_or_else(|| panic!("{path} is missing"))
        };
        assert!(text("Cargo.toml").contains("name = \"geo-block\""));
        assert!(text("src/lib.rs").contains("pub struct GeoBlock"));
        assert!(text(".cargo/config.toml").contains("+simd128"));
        assert!(text("tests/basic.toml").contains("geo_block.wasm"));
        assert!(text("edgewit-plugin.toml").contains("geo_block.wasm"));
        assert!(text("edgewit-sdk/Cargo.toml").contains("name = \"edgewit-sdk\""));
        assert!(!text("edgewit-sdk/Cargo.toml").contains("workspace = true"));
        assert!(text("edgewit-sdk/src/lib.rs").contains("mod"));
        assert!(text("edgewit-sdk/wit/world.wit").contains("world filter"));
        let own = files.iter().filter(|(path, _)| !path.starts_with(SDK));
        for (path, text) in own {
            assert!(!text.contains("{{"), "{}", path.display());
        }
    }

    #[test]
    fn the_rendered_files_are_read_by_the_other_commands() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in render("a").unwrap() {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let manifest = super::super::manifest::Manifest::read(folder.path()).unwrap();
        assert_eq!(manifest.name, "a");
        assert!(!super::super::test::suites(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn names_become_types_and_crates() {
        for (name, expected) in [("geo-block", "GeoBlock"), ("a", "A"), ("a--b_c2", "ABC2")] {
            assert_eq!(type_name(name), expected);
        }
        for bad in ["", "A", "a b", "2fa", "a.b", "core", "../x", "a/b"] {
            assert!(render(bad).is_err(), "{bad}");
        }
    }
}
