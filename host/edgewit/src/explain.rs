//! `edgewit explain`: the long text of a code.

use std::process::ExitCode;

use anyhow::bail;
use edgewit_config::{Code, code};
use serde_json::json;

use crate::screen::{Screen, table};

/// Explains a code, or lists all of them.
pub(crate) fn run(id: Option<&str>, screen: Screen) -> anyhow::Result<ExitCode> {
    let Some(id) = id else { return list(screen) };
    let Some(found) = Code::find(id) else {
        bail!("there is no code `{id}`; `edgewit explain` lists all of them");
    };
    match screen.is_json() {
        true => screen.json(&object(&found))?,
        false => screen.data(format!(
            "{}: {}\n\n{}",
            found.id(),
            found.title(),
            wrap(found.explanation(), WIDTH)
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// Characters in a line of prose.
const WIDTH: usize = 100;

fn list(screen: Screen) -> anyhow::Result<ExitCode> {
    if screen.is_json() {
        screen.json(&code::ALL.iter().map(object).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |code: &Code| vec![code.id().to_owned(), code.title().to_owned()];
    screen.data(table(&["CODE", "MEANING"], &code::ALL.iter().map(row).collect::<Vec<_>>()));
    Ok(ExitCode::SUCCESS)
}

fn object(code: &Code) -> serde_json::Value {
    json!({ "code": code.id(), "title": code.title(), "explanation": code.explanation() })
}

fn wrap(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_between_words() {
        assert_eq!(wrap("one two  three\nfour", 9), "one two\nthree\nfour");
        assert_eq!(wrap("", 9), "");
        assert_eq!(wrap("longer than that", 4), "longer\nthan\nthat");
    }
}
