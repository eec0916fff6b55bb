//! `edgewit plugin build`: run the author's command, check what it made, and write into it what it is.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context as _, ensure};
use edgewit_control::{Inspection, Package};
use serde_json::json;

use super::manifest::Manifest;
use crate::screen::Screen;

/// Capabilities that every filter may import unless the operator takes them away.
const GIVEN: [&str; 5] = ["log", "metrics", "clock", "random", "exchange"];

/// Makes `<name>.wasm` in the folder.
pub(crate) fn run(folder: &Path, screen: Screen) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::read(folder)?;
    let begun = Instant::now();
    let command = &manifest.build.command;
    screen.note(format!("building ({command})"));
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(folder).stdin(Stdio::null());
    if screen.is_json() {
        shell.stdout(Stdio::null());
    }
    let status = shell.status().with_context(|| format!("cannot run `{command}`"))?;
    ensure!(status.success(), "`{command}` failed: {status}");

    let output = folder.join(&manifest.build.output);
    let bytes = fs::read(&output)
        .with_context(|| format!("the command did not make `{}`", output.display()))?;
    let (bytes, inspection) = edgewit_control::package(&bytes, &package(&manifest, folder)?)?;
    must_declare(&inspection, &manifest)?;
    let target = folder.join(format!("{}.wasm", manifest.name));
    // The folder may be one that a server watches.
    let aside = target.with_extension("wasm.tmp");
    fs::write(&aside, &bytes)
        .and_then(|()| fs::rename(&aside, &target))
        .with_context(|| format!("cannot write `{}`", target.display()))?;
    tell(&inspection, &target, begun, screen)?;
    Ok(ExitCode::SUCCESS)
}

fn package(manifest: &Manifest, folder: &Path) -> anyhow::Result<Package> {
    let schema = |file: &String| -> anyhow::Result<String> {
        let path = folder.join(file);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let schema: serde_json::Value = serde_json::from_str(&text)
            .with_context(|| format!("`{}` is no JSON", path.display()))?;
        Ok(schema.to_string())
    };
    let golden = folder.join("tests/golden.toml");
    let golden = match golden.is_file() {
        true => Some(
            fs::read_to_string(&golden)
                .with_context(|| format!("cannot read `{}`", golden.display()))?,
        ),
        false => None,
    };
    Ok(Package {
        golden,
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        description: manifest.description.clone(),
        license: manifest.license.clone(),
        source: manifest.source.clone(),
        config_schema: manifest.config_schema.as_ref().map(schema).transpose()?,
    })
}

/// An author should know what a filter asks of its operators before they do.
fn must_declare(inspection: &Inspection, manifest: &Manifest) -> anyhow::Result<()> {
    let imported = inspection.capabilities.iter();
    let undeclared: Vec<_> = imported
        .filter(|c| !GIVEN.contains(&c.as_str()) && !manifest.requires.contains(*c))
        .cloned()
        .collect();
    ensure!(
        undeclared.is_empty(),
        "the filter imports {}, which `requires` of {} does not name",
        undeclared.join(", "),
        super::manifest::FILE
    );
    Ok(())
}

fn tell(
    inspection: &Inspection,
    target: &Path,
    begun: Instant,
    screen: Screen,
) -> anyhow::Result<()> {
    let seconds = begun.elapsed().as_secs_f64();
    if screen.is_json() {
        return screen.json(&json!({ "file": target, "component": inspection }));
    }
    let imports = match inspection.capabilities.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    screen.note(format!(
        "{seconds:.1}s  built {} · {} · phases: {} · imports: {imports}",
        target.display(),
        super::inspect::size(inspection.size),
        inspection.phases.join(", "),
    ));
    Ok(())
}
