//! Puts the SDK with its template and the contract into the program, so that `edgewit plugin new` works anywhere.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR").unwrap()).join("embedded.rs");
    let sdk = root.join("sdk/rust");
    let mut text = String::new();
    for (name, folder) in
        [("TEMPLATE", sdk.join("template")), ("SDK", sdk.join("src")), ("WIT", root.join("wit"))]
    {
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        walk(&folder, &mut files);
        files.sort();
        text += &format!("pub(crate) static {name}: &[(&str, &str)] = &[\n");
        for file in files {
            let relative = file.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            let whole = file.canonicalize().unwrap();
            text += &format!("    ({relative:?}, include_str!({whole:?})),\n");
        }
        text += "];\n";
    }
    fs::write(out, text).unwrap();
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Whoever builds the template in place must not get the result into the program.
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            walk(&path, files);
        } else if path.is_file() && path.file_name().is_some_and(|name| name != "Cargo.lock") {
            files.push(path);
        }
    }
}
