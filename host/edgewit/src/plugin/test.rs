//! `edgewit plugin test`: the cases of a filter, in the host's own code, without sockets.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, ensure};
use edgewit_control::trial::{self, Outcome, Suite, Verdict};
use serde_json::json;

use super::manifest::Manifest;
use crate::screen::{GREEN, RED, Screen};

/// Runs all cases in `tests/*.toml`. Fails if one fails.
pub(crate) fn run(folder: &Path, screen: Screen) -> anyhow::Result<ExitCode> {
    let suites = suites(folder)?;
    let (mut passed, mut failed) = (0, 0);
    let mut results = Vec::new();
    for (name, suite) in &suites {
        let component = component(folder, suite)?;
        let told = |verdict: &Verdict| {
            if !screen.is_json() {
                screen.data(describe(name, suite, verdict, screen));
            }
        };
        let verdicts = trial::run(&component, suite, told)?;
        let good = verdicts.iter().filter(|verdict| verdict.passed()).count();
        passed += good;
        failed += verdicts.len() - good;
        results.push(json!({ "suite": name, "cases": verdicts }));
    }
    match screen.is_json() {
        true => screen.json(&json!({ "passed": passed, "failed": failed, "suites": results }))?,
        false => screen.data(format!("{passed} passed, {failed} failed")),
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All files of cases, by name.
pub(super) fn suites(folder: &Path) -> anyhow::Result<Vec<(String, Suite)>> {
    let tests = folder.join("tests");
    let entries =
        fs::read_dir(&tests).with_context(|| format!("there is no `{}`", tests.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    ensure!(!paths.is_empty(), "there is no `*.toml` in `{}`", tests.display());
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok((name, parse(&text).with_context(|| format!("in `{}`", path.display()))?))
    };
    paths.into_iter().map(read).collect()
}

fn parse(text: &str) -> anyhow::Result<Suite> {
    let suite: Suite = toml::from_str(text)?;
    ensure!(!suite.cases.is_empty(), "there is no [[case]]");
    Ok(suite)
}

/// The component that a suite names, or what the build makes.
fn component(folder: &Path, suite: &Suite) -> anyhow::Result<Vec<u8>> {
    let path = match &suite.plugin {
        Some(path) => folder.join(path),
        None => folder.join(Manifest::read(folder)?.build.output),
    };
    fs::read(&path).with_context(|| {
        format!("cannot read `{}`; `edgewit plugin build` makes it", path.display())
    })
}

fn describe(name: &str, suite: &Suite, verdict: &Verdict, screen: Screen) -> String {
    let seconds = verdict.took.as_secs_f64();
    let paint = |color: u8, word: &str| match screen.colors_data() {
        true => format!("\u{1b}[1;{color}m{word}\u{1b}[0m"),
        false => word.to_owned(),
    };
    let word = if verdict.passed() { paint(GREEN, "PASS") } else { paint(RED, "FAIL") };
    let mut lines = vec![format!("    {word} [{seconds:>8.3}s] {name}: {}", verdict.name)];
    if verdict.passed() {
        return lines.remove(0);
    }
    let case = suite.cases.iter().find(|case| case.name == verdict.name);
    lines.extend(
        case.map(|c| format!("         request   {} {}", c.request.method, c.request.path)),
    );
    lines.extend(verdict.error.iter().map(|error| format!("         error     {error}")));
    lines.extend(verdict.outcome.iter().map(happened));
    for mismatch in &verdict.mismatches {
        lines.push(format!("         {}", mismatch.what));
        lines.push(format!("       - {}", mismatch.expected));
        lines.push(format!("       + {}", mismatch.found));
    }
    let log = verdict.outcome.iter().flat_map(|outcome| &outcome.log);
    lines.extend(log.map(|line| format!("         log       {line}")));
    lines.join("\n")
}

fn happened(outcome: &Outcome) -> String {
    let Outcome { action, status, fuel, .. } = outcome;
    let attempts = outcome.upstream.len();
    format!("         action    {action} → {status} ({attempts} × upstream, {fuel} fuel)")
}

#[cfg(test)]
mod tests {
    use edgewit_control::trial::{Action, Fail, Field, Values};

    use super::*;

    const PRODUCT: &str = r#"
plugin = "target/wasm32-wasip2/release/geo_block.wasm"
config = { blocked = ["KP"] }

[[case]]
name = "blocked country is refused"
request = { method = "GET", path = "/", headers = { x-country = "KP" } }
expect = { action = "respond", status = 403, upstream-called = false, fuel-max = 60_000 }

[[case]]
name = "others pass, header is added"
request = { path = "/a?b=1", headers = { x-country = ["KR", "JP"] } }
upstream = { status = 200, headers = { content-type = "text/plain" }, body = "ok" }
expect = { status = 200, upstream-request = { headers = { x-geo = "KR", x-no = false } }, body-contains = "ok" }

[[case]]
name = "a broken connection is tried again"
upstream = [{ fail = "reset" }, { status = 204 }]
expect = { attempts = 2 }
"#;

    #[test]
    fn cases_are_read() {
        let suite = parse(PRODUCT).unwrap();
        assert_eq!(suite.config["blocked"][0], "KP");
        let [first, second, third] = suite.cases.as_slice() else { panic!("{suite:?}") };
        assert_eq!(first.expect.action, Some(Action::Respond));
        assert_eq!(first.expect.fuel_max, Some(60_000));
        assert_eq!(second.request.method, "GET");
        assert_eq!(second.request.headers["x-country"].0, ["KR", "JP"]);
        let sent = second.expect.upstream_request.as_ref().unwrap();
        assert_eq!(sent.headers["x-geo"], Field::Is(Values(vec!["KR".to_owned()])));
        assert_eq!(sent.headers["x-no"], Field::Absent);
        assert_eq!(third.upstream.0[0].fail, Some(Fail::Reset));
        assert_eq!(third.upstream.0[1].status, 204);
    }

    #[test]
    fn mistakes_in_cases_are_named_with_their_line() {
        let cases = [
            ("fuel-max", "fule-max", "fule-max"),
            ("status = 403", "status = '403'", "line 8"),
            ("x-country = \"KP\"", "x-country = 1", "a string or an array of strings"),
            ("\"respond\"", "\"respnd\"", "respnd"),
            ("[[case]]", "[[kase]]", "kase"),
        ];
        for (from, to, expected) in cases {
            let error = format!("{:#}", parse(&PRODUCT.replacen(from, to, 1)).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        assert!(parse("config = {}").is_err());
    }
}
