//! Conditions of a route on header fields, query parameters, cookies and clients.

use edgewit_model::{Condition, IpNet, Part, Regex, Test};

use super::matcher::Wrong;
use crate::{
    code,
    raw::{self, At},
};

/// Networks of one condition; the published lists of large networks have a few hundred.
const MOST_NETWORKS: usize = 1_024;

/// The condition that a table stands for.
pub(super) fn condition(part: Part, at: &At<raw::Test>) -> Result<Condition, Wrong> {
    let raw::Test { regex, prefix, present } = &at.value;
    let test = match (regex, prefix, present) {
        (Some(text), None, None) => Test::Regex(expression(text)?),
        (None, Some(text), None) if text.value.is_empty() => {
            let wrong = Wrong::new(code::INVALID_CONDITION, "an empty prefix fits everything", "");
            return Err(wrong.label("write `{ present = true }`").at(text));
        }
        (None, Some(text), None) => Test::Prefix(text.value.clone()),
        (None, None, Some(present)) if present.value => Test::Present,
        (None, None, Some(_)) => Test::Absent,
        _ => {
            let message = "a test is exactly one of `regex`, `prefix` and `present`";
            return Err(Wrong::new(code::INVALID_CONDITION, message, "").at(at));
        }
    };
    Ok(Condition { part, test })
}

/// An expression that describes whole texts.
pub(super) fn expression(at: &At<String>) -> Result<Regex, Wrong> {
    Regex::new(&at.value).map_err(|error| {
        let message = format!("this is no regular expression: {error}");
        Wrong::new(code::INVALID_CONDITION, message, "").at(at)
    })
}

/// The expression of a path.
pub(super) fn path_expression(at: &At<String>) -> Result<Regex, Wrong> {
    if !at.value.trim_start_matches('^').starts_with(['/', '(', '[', '.']) {
        let wrong = Wrong::new(code::INVALID_PATH, "this expression describes no path", "");
        return Err(wrong.label("a path begins with `/`").at(at));
    }
    expression(at)
}

/// Networks that clients come from.
pub(super) fn networks(list: &At<Vec<At<String>>>) -> Result<Vec<IpNet>, Wrong> {
    if list.value.is_empty() || list.value.len() > MOST_NETWORKS {
        let message = format!("{} networks are too few or too many", list.value.len());
        return Err(Wrong::new(code::INVALID_CONDITION, message, "").at(list));
    }
    let network = |at: &At<String>| {
        at.value.parse::<IpNet>().map_err(|error| {
            let message = format!("`{}` is no range of addresses", at.value);
            Wrong::new(code::INVALID_CONDITION, message, error.to_string()).at(at)
        })
    };
    list.value.iter().map(network).collect()
}
