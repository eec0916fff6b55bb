//! Which configuration is meant?

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use edgewit_config::Report;
use edgewit_control::{Overrides, Source};

use crate::{cli::Global, screen::Screen};

/// Where the configuration is looked for.
const PLACES: [&str; 2] = ["edgewit.toml", "/etc/edgewit/edgewit.toml"];

/// What the command line names, or what is found in the usual places.
pub(crate) fn find(global: &Global) -> anyhow::Result<Option<Source>> {
    match &global.config {
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            let (name, base) = ("standard input".to_owned(), PathBuf::new());
            Ok(Some(Source::Text { name, text, base }))
        }
        Some(path) => Ok(Some(Source::File(path.clone()))),
        None => {
            let mut places = PLACES.iter().map(PathBuf::from);
            Ok(places.find(|path| path.exists()).map(Source::File))
        }
    }
}

/// The same for commands that cannot do without.
pub(crate) fn must_find(global: &Global) -> anyhow::Result<Source> {
    let [here, system] = PLACES;
    let missing = || format!("there is no `{here}` here and no `{system}`; name one with --config");
    find(global)?.with_context(missing)
}

/// What the command line says in the place of the file.
pub(crate) fn overrides(global: &Global) -> Overrides {
    let level = match (global.quiet, global.verbose) {
        (true, _) => Some("error"),
        (false, 0) => None,
        (false, 1) => Some("info,edgewit=debug"),
        (false, 2) => Some("debug"),
        (false, _) => Some("trace"),
    };
    Overrides { admin: global.admin, log_level: level.map(str::to_owned), ..Overrides::default() }
}

/// Shows messages, with a last line that counts them.
pub(crate) fn show(report: &Report, screen: Screen) {
    if report.is_empty() {
        return;
    }
    let text = format!("{}\n\n{}", report.render(screen.colors_notes()), count(report));
    match report.has_errors() {
        true => screen.error(text),
        false => screen.note(text),
    }
}

fn count(report: &Report) -> String {
    let is_error =
        |d: &&edgewit_config::Diagnostic| d.severity() == edgewit_config::Severity::Error;
    let errors = report.diagnostics().iter().filter(is_error).count();
    let warnings = report.diagnostics().len() - errors;
    let words = |n: usize, what: &str| match n {
        0 => None,
        1 => Some(format!("1 {what}")),
        n => Some(format!("{n} {what}s")),
    };
    let parts = [words(errors, "error"), words(warnings, "warning")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
