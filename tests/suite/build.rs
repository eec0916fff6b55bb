//! Lists the guests, so that one without a test is dead code.

use std::{env, fs, path::Path};

fn main() {
    let guests = Path::new("../guests");
    println!("cargo::rerun-if-changed={}", guests.display());
    let entries = fs::read_dir(guests).expect("the folder of the guests can be read");
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let stems = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> =
        stems.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    let line =
        |name: &String| format!("pub(crate) const {}: &str = \"{name}\";\n", name.to_uppercase());
    let out = env::var("OUT_DIR").expect("cargo says where output goes");
    fs::write(Path::new(&out).join("guests.rs"), names.iter().map(line).collect::<String>())
        .expect("the output folder can be written");
}
