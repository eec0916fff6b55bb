//! Is this TOML right, and if not, where?
//!
//! [`load`] goes from a file to the checked model in stages: `load` (files), `tree` (the untyped tree), `env` (references to
//! the environment), `shape` (unknown keys), `refs` (names that are not there), `typed` and `raw` (serde), `resolve` (the
//! model; `memo` knows routes that are written as before), `conflict` (routes against each other), `pem` (certificates and keys). All stages report into one [`Report`];
//! only what would drown it in consequences stops: files that cannot be read, and mistakes of grammar.
//!
//! Nothing here opens sockets or looks into a WebAssembly component. What is found out later about an entry gets its place
//! through [`Origin::diagnostic_at`].

pub mod code;

mod load;

mod tree;

mod dialect;

mod env;

mod shape;

mod refs;

mod typed;

mod raw;

mod resolve;

mod memo;

mod conflict;

mod pem;

mod places;

mod loaded;

mod report;

mod diag;

mod source;

mod suggest;

mod schema;

mod welcome;

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

pub use code::Code;
pub use diag::{Diagnostic, Label, Severity};
pub use load::Files;
pub use loaded::{Loaded, Origin};
pub use memo::Memo;
pub use places::Entry;
pub use report::Report;
pub use schema::schema;
pub use source::{Place, Source};
pub use welcome::welcome;

use env::Outside;
use tree::Document;

/// Reads and checks a file. Relative paths in it start at its folder.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    load_file(path, None)
}

/// The same, not for the first time: routes that are written as they were then are shared with what was loaded then.
pub fn load_again(path: &Path, memo: &mut Memo) -> Result<Loaded, Report> {
    load_file(path, Some(memo))
}

fn load_file(path: &Path, memo: Option<&mut Memo>) -> Result<Loaded, Report> {
    let main = load::main_file(path)?;
    let base = path.parent().unwrap_or(Path::new(""));
    check(main, Some(path), &Outside { variable: &variable, base }, memo)
}

/// Reads TOML that is no configuration of the server, such as the cases of a filter's tests.
pub fn read_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

/// Checks a text that messages call `name`. Relative paths in it start at `base_dir`.
pub fn load_text(name: &str, text: &str, base_dir: &Path) -> Result<Loaded, Report> {
    let main = load::main_text(name, text)?;
    check(main, None, &Outside { variable: &variable, base: base_dir }, None)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn check(
    main: Arc<Source>,
    path: Option<&Path>,
    outside: &Outside<'_>,
    mut memo: Option<&mut Memo>,
) -> Result<Loaded, Report> {
    let mut report = Report::default();
    let mut files = load::with_includes(main, path, outside.base, &mut report);
    let sources = files.sources.clone();
    let Some(mut document) = read(&sources, &mut report) else {
        return Err(report.about(files));
    };
    let expanded = env::expand(&mut document, outside, &mut files.paths, &mut report);
    let folder = resolve::plugin_dir(&document, outside.base);
    refs::check(&document, &load::plugins_in(&folder), &mut report);
    let resolved = resolve::resolve(&document, outside.base, memo.as_deref_mut(), &mut report);
    conflict::check(&resolved.config.routes, &resolved.places, memo, &mut report);
    report.redact(&expanded);
    pem::check(&resolved.pems, &mut report);
    files.paths.extend(resolved.pems.into_iter().map(|pem| pem.path));
    if report.has_errors() {
        return Err(report.without_consequences(code::REFERENCE).about(files));
    }
    let origin = Origin { warnings: report, files, places: resolved.places };
    Ok(Loaded { config: resolved.config, origin })
}

/// The untyped tree of all files without unknown keys; nothing after mistakes that have consequences everywhere.
fn read<'s>(sources: &'s [Arc<Source>], report: &mut Report) -> Option<Document<'s>> {
    let mut document = Document::new(sources.first()?);
    let tables: Vec<_> = sources.iter().map(|source| tree::parse(source, report)).collect();
    if report.has_errors() {
        return None;
    }
    for (source, table) in sources.iter().zip(tables) {
        let mut table = table?;
        dialect::check(&table, source, report);
        shape::check(&mut table, source, report);
        document.add(source, table, report);
    }
    Some(document)
}
