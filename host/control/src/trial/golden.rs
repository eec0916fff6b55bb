//! Requests that a component carries with the answers that its author expects: the custom section `edgewit:golden`.
//!
//! They are cases as in `tests/*.toml`, played before the component serves: in the server's own process, under the limits
//! and grants of the plugin, with stores of their own. All of them have one configuration, so that they cost one compile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_chain::Filter;
use edgewit_model::Plugin;
use edgewit_wasm::Runtime;

use super::{Case, Recorder, Suite, Verdict, play_case};
use crate::file;

/// Name of the custom section.
pub(crate) const SECTION: &str = "edgewit:golden";
/// Bytes of its text; it is read in the process that serves.
const LARGEST: usize = 64 << 10;
/// Each costs at most as much as a request.
const MOST_CASES: usize = 32;
/// For all cases together, looked at between them; a swap waits for it.
const LONGEST: Duration = Duration::from_secs(5);

/// Reads the text of a section.
pub(crate) fn parse(text: &[u8]) -> Result<Suite, String> {
    if text.len() > LARGEST {
        return Err(format!("they have {} bytes, more than {LARGEST}", text.len()));
    }
    let text = std::str::from_utf8(text).map_err(|_| "they are no UTF-8".to_owned())?;
    let suite: Suite = edgewit_config::read_toml(text)?;
    if suite.cases.is_empty() || suite.cases.len() > MOST_CASES {
        return Err(format!("there are {} of them, not 1 to {MOST_CASES}", suite.cases.len()));
    }
    let unfit = |case: &&Case| case.config.is_some() || case.expect.config_error.is_some();
    if let Some(case) = suite.cases.iter().find(unfit) {
        return Err(format!("`{}` has a configuration of its own; they share one", case.name));
    }
    if suite.plugin.is_some() || suite.limits.fuel.is_some() {
        return Err("`plugin` and `limits` are not theirs to say".to_owned());
    }
    Ok(suite)
}

/// Plays what a component carries, if it carries any. The error says which request went otherwise, and how. Blocks.
pub(crate) fn play(runtime: &Runtime, bytes: &[u8], plugin: &Plugin) -> Result<(), String> {
    let Some(text) = file::custom_section(bytes, SECTION) else { return Ok(()) };
    let suite = parse(text).map_err(|error| format!("cannot be read: {error}"))?;
    let recorder = Recorder::default();
    let loaded = recorder.record(|| runtime.load_apart(bytes, plugin, &suite.config));
    let filter: Arc<dyn Filter> = loaded.map_err(|e| format!("cannot be played: it {e}"))?;
    let begun = Instant::now();
    for case in &suite.cases {
        if begun.elapsed() > LONGEST {
            return Err(format!("took more than {LONGEST:?}, before `{}`", case.name));
        }
        let verdict = play_case(Arc::clone(&filter), case, &Recorder::default());
        if !verdict.passed() {
            return Err(format!("failed: {}", describe(&verdict)));
        }
    }
    Ok(())
}

fn describe(verdict: &Verdict) -> String {
    let error = verdict.error.iter().cloned();
    let mismatches = verdict.mismatches.iter();
    let mismatches =
        mismatches.map(|m| format!("{}: expected {}, got {}", m.what, m.expected, m.found));
    let words: Vec<_> = error.chain(mismatches).collect();
    format!("`{}`: {}", verdict.name, words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_requests_are_bounded_and_share_one_configuration() {
        let case = "[[case]]\nname = 'a'\n";
        let long = format!("{case}# {}", "x".repeat(LARGEST));
        let cases = [
            (case.to_owned(), ""),
            (case.repeat(MOST_CASES), ""),
            (case.repeat(MOST_CASES + 1), "there are 33 of them"),
            (String::new(), "there are 0 of them"),
            (long, "more than 65536"),
            (format!("{case}config = {{ a = 1 }}"), "they share one"),
            (format!("{case}expect = {{ config-error = 'x' }}"), "they share one"),
            (format!("plugin = 'x.wasm'\n{case}"), "not theirs to say"),
            (format!("limits = {{ fuel = 1 }}\n{case}"), "not theirs to say"),
            (format!("{case}expect = {{ status = 'x' }}"), "line 3"),
            (format!("a = {}", "[".repeat(60_000)), "recursion"),
        ];
        for (text, expected) in cases {
            match parse(text.as_bytes()) {
                Ok(_) => assert_eq!(expected, "", "{}", &text[..text.len().min(99)]),
                Err(said) => {
                    assert!(!expected.is_empty() && said.contains(expected), "{expected}: {said}");
                }
            }
        }
        assert!(parse(b"\xff").unwrap_err().contains("UTF-8"));
    }
}
