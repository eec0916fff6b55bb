//! Templates, and the names that may stand in them.

use std::{borrow::Cow, cell::OnceCell, collections::BTreeSet};

use edgewit_model::{Matcher, Template};

use super::Cx;
use crate::{code, raw::At, suggest::did_you_mean};

/// Parameters of the path patterns of a route, found when the first template asks for them: most routes have none.
pub(super) struct Captures<'a> {
    matchers: &'a [Matcher],
    /// `None` if they are not known because the patterns are wrong.
    parameters: OnceCell<Option<Parameters>>,
}

struct Parameters {
    /// Of every pattern: these can be used.
    common: BTreeSet<String>,
    /// Of any pattern: these cannot have the name of a value of the request, or a client could choose between the two.
    any: BTreeSet<String>,
}

impl<'a> Captures<'a> {
    pub(super) fn of(matchers: &'a [Matcher]) -> Self {
        Self { matchers, parameters: OnceCell::new() }
    }

    fn parameters(&self) -> Option<&Parameters> {
        self.parameters.get_or_init(|| Parameters::of(self.matchers)).as_ref()
    }
}

impl Parameters {
    fn of(matchers: &[Matcher]) -> Option<Self> {
        let one = |own: BTreeSet<String>| Parameters { common: own.clone(), any: own };
        let both = |a: Parameters, b: Parameters| Parameters {
            common: &a.common & &b.common,
            any: &a.any | &b.any,
        };
        matchers.iter().map(|matcher| one(names(matcher))).reduce(both)
    }
}

fn names(matcher: &Matcher) -> BTreeSet<String> {
    if let Some(regex) = &matcher.path_regex {
        return regex.names().map(str::to_owned).collect();
    }
    let mut path = Cow::from(&matcher.path);
    for literal in ["{{", "}}"] {
        if path.contains(literal) {
            path = path.replace(literal, "").into();
        }
    }
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    names.map(|(name, _)| name.trim_start_matches('*').to_owned()).collect()
}

/// A template with names of the request (`known`) and parameters of the path.
pub(super) fn template(
    at: &At<String>,
    known: &[&str],
    captures: &Captures<'_>,
    cx: &mut Cx<'_, '_>,
) -> Option<Template> {
    let template = match Template::new(&at.value) {
        Ok(template) => template,
        Err(error) => {
            cx.error(code::PLACEHOLDER, &at.span, error.to_string());
            return None;
        }
    };
    let Some(captures) = captures.parameters() else { return Some(template) };
    for name in template.names() {
        let (is_known, is_captured) = (known.contains(&name), captures.any.contains(name));
        let all = || known.iter().copied().chain(captures.common.iter().map(String::as_str));
        if is_known && is_captured {
            let message = format!("`{{{name}}}` is both a value of the request and of the path");
            cx.hint(code::PLACEHOLDER, &at.span, message, "rename the parameter in `match`");
        } else if !is_known && !captures.common.contains(name) {
            let guess = did_you_mean(name, all());
            let label = match (guess.is_empty(), all().count()) {
                (false, _) => guess,
                (true, 0) => "`match` has no parameters".to_owned(),
                (true, _) => format!("known here: {}", all().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("no value is named `{name}` here");
            cx.hint(code::PLACEHOLDER, &at.span, message, label);
        }
    }
    Some(template)
}
