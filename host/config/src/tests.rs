//! The stages together: whole files in, a model or rendered messages out.

mod messages;

mod values;

mod examples;

mod files;

mod hostile;

mod guide;

mod routing;

mod again;

use std::path::Path;

use tempfile::TempDir;

use crate::{Loaded, Memo, Report, env::Outside, load};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// A folder with these (empty) plugins.
fn plugins(names: &[&str]) -> TempDir {
    let files: Vec<String> = names.iter().map(|name| format!("plugins/{name}.wasm")).collect();
    folder(&files.iter().map(|file| (file.as_str(), "")).collect::<Vec<_>>())
}

/// Checks a text as `edgewit.toml` of this folder, with one environment variable.
fn check_in(base: &Path, text: &str) -> Result<Loaded, Report> {
    check_again(base, text, None)
}

/// The same with what is known from earlier times.
fn check_again(base: &Path, text: &str, memo: Option<&mut Memo>) -> Result<Loaded, Report> {
    let variable = |name: &str| (name == "ORDERS").then(|| "http://10.0.0.1:8080".to_owned());
    let outside = Outside { variable: &variable, base };
    crate::check(load::main_text("edgewit.toml", text)?, None, &outside, memo)
}

/// Checks a text without any files around it.
fn check(text: &str) -> Result<Loaded, Report> {
    check_in(Path::new("/nonexistent"), text)
}

/// Code, line and message of everything that is said about a text.
fn said(text: &str) -> Vec<String> {
    let report = match check(text) {
        Ok(loaded) => loaded.origin.warnings,
        Err(report) => report,
    };
    let line = |d: &crate::Diagnostic| {
        let line = d.labels().first().map_or(0, |label| label.place.position().0);
        format!("{} {line}: {}", d.code().id(), d.message())
    };
    report.diagnostics().iter().map(line).collect()
}
