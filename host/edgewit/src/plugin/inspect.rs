//! `edgewit plugin inspect`: what a component is, what it may do and what it wants.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context as _;
use edgewit_config::{Code, Diagnostic, code};
use edgewit_control::{Inspected, LoadError};

use super::{is_file, usage::limits};
use crate::screen::Screen;

/// Is a component meant, rather than a plugin of the running server?
pub(crate) fn is_meant(what: &str) -> bool {
    is_file(what) || Path::new(what).is_file()
}

/// Fails if the file is no component that could serve.
pub(crate) fn run(file: &Path, screen: Screen) -> anyhow::Result<ExitCode> {
    let bytes = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let inspected = match edgewit_control::inspect(&bytes) {
        Ok(inspected) => inspected,
        Err(error) => {
            screen.error(refusal(&error, file).render(screen.colors_notes()));
            return Ok(ExitCode::FAILURE);
        }
    };
    match screen.is_json() {
        true => screen.json(&inspected)?,
        false => screen.data(describe(&inspected)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn refusal(error: &LoadError, file: &Path) -> Diagnostic {
    let code = Code::find(error.code()).unwrap_or(code::PLUGIN_UNREADABLE);
    let diagnostic = Diagnostic::new(code, format!("`{}` {error}", file.display()));
    error.help().into_iter().fold(diagnostic, Diagnostic::help)
}

fn describe(inspected: &Inspected) -> anyhow::Result<String> {
    let told = &inspected.inspection;
    let unknown = || "unknown".to_owned();
    let list = |items: &[String]| match items {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let mut rows = vec![
        ("name", told.name.clone().unwrap_or_else(unknown)),
        ("version", told.version.clone().unwrap_or_else(unknown)),
    ];
    rows.extend(told.description.clone().map(|text| ("description", text)));
    rows.extend(told.licenses.clone().map(|text| ("licence", text)));
    rows.extend([
        ("size", size(told.size)),
        ("digest", format!("sha256:{}", told.digest)),
        ("phases", list(&told.phases)),
        ("capabilities", list(&told.capabilities)),
        ("exports", list(&told.exports)),
        ("imports", list(&told.imports)),
        ("made by", list(&told.producers)),
        ("takes config", if told.configurable { "yes" } else { "no" }.to_owned()),
    ]);
    rows.extend(told.config_schema.clone().map(|text| ("schema", text)));
    match (&inspected.loaded, &inspected.not_loaded) {
        (Some(loaded), _) => rows.extend([
            ("isolation", loaded.isolation.to_owned()),
            ("snapshot", if loaded.snapshotted { "yes" } else { "no" }.to_owned()),
            ("needs", loaded.needs.clone()),
            ("load time", format!("{} ms", loaded.load_ms)),
        ]),
        (None, Some(why)) => rows.push(("without config", format!("it {why}"))),
        (None, None) => {}
    }
    let defaults = limits(&serde_json::to_value(&inspected.limits)?);
    rows.push(("limits", format!("{defaults}, unless the configuration says otherwise")));
    rows.push(("used", "only a running server knows: edgewit plugin inspect NAME".to_owned()));
    let line = |(key, value): &(&str, String)| format!("{key:<14} {value}");
    Ok(rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_a_unit_that_fits() {
        let cases = [(7, "7 B"), (41 << 10, "41 KiB"), (3 << 19, "1.5 MiB")];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected);
        }
    }
}
