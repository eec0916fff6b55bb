//! `edgewit check`: everything that a start would complain about.

use std::process::ExitCode;

use crate::{
    cli::{self, Global},
    config,
    screen::Screen,
};

/// Fails on errors, and on warnings if they are denied.
pub(crate) fn run(
    global: &Global,
    options: &cli::Check,
    screen: Screen,
) -> anyhow::Result<ExitCode> {
    let source = config::must_find(global)?;
    let checked = edgewit_control::check(&source, &config::overrides(global), None)?;
    let report = &checked.diagnostics;
    let failed = report.has_errors() || (options.deny_warnings && !report.is_empty());
    if screen.is_json() {
        screen.json(&checked)?;
    } else {
        config::show(report, screen);
        for unused in &checked.unused {
            screen.note(format!("note: no route uses it, but a plugin cannot be used: {unused}"));
        }
        if let (false, Some(counts)) = (failed, checked.counts) {
            let name = source.path().map(|path| path.display().to_string());
            let name = name.unwrap_or_else(|| "the configuration".to_owned());
            screen.note(format!("{name} is valid · {counts}"));
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
