//! The target of a request as its upstream gets it.
//!
//! Filters, and with them authorisation, see the path that came in. What is made of it here is the operator's choice,
//! and is sent only if it is in normal form: no upstream can read another path out of it than the one that is meant.

use std::borrow::Cow;

use edgewit_model::{NormalizedPath, PathRewrite, Rewrite};

use crate::{
    problem::Problem,
    template::{Values, render},
};

/// The path that is sent. `values` is `None` if the path does not fit the route's pattern any more, because a filter has
/// chosen another one: then there is nothing to fill a template with, and the filter's path is sent.
pub(crate) fn path<'a>(
    rewrite: &Rewrite,
    path: &'a NormalizedPath,
    values: Option<&Values<'_>>,
) -> Result<Cow<'a, str>, Problem> {
    let whole = path.as_str();
    if let Some(prefix) = &rewrite.strip_prefix {
        return Ok(stripped(whole, prefix).into());
    }
    let Some(rewrite) = &rewrite.path else { return Ok(whole.into()) };
    let changed = match rewrite {
        PathRewrite::Prefix { from, to } => replaced(whole, from, to),
        PathRewrite::Template(template) => values.map(|values| render(template, values)),
        PathRewrite::Regex { pattern, replace } => pattern.captures(whole).map(|captures| {
            let mut out = String::new();
            captures.expand(replace, &mut out);
            out
        }),
    };
    let Some(changed) = changed else { return Ok(whole.into()) };
    match NormalizedPath::new(&changed) {
        Ok(normal) if normal.as_str() == changed => Ok(changed.into()),
        _ => Err(Problem::BadRequest("the rewritten path has no normal form")),
    }
}

/// The path without the prefix, if it has it as whole segments.
fn stripped<'a>(whole: &'a str, prefix: &str) -> &'a str {
    match whole.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => whole,
    }
}

fn replaced(whole: &str, from: &str, to: &str) -> Option<String> {
    let rest = whole.strip_prefix(from).filter(|r| r.is_empty() || r.starts_with('/'))?;
    Some(if to.is_empty() && rest.is_empty() { "/".to_owned() } else { format!("{to}{rest}") })
}

#[cfg(test)]
mod tests {
    use edgewit_model::Regex;

    use super::*;

    fn check(rewrite: PathRewrite, cases: &[(&str, Option<&str>)]) {
        let rewrite = Rewrite { path: Some(rewrite), ..Rewrite::default() };
        for (from, expected) in cases {
            let own = NormalizedPath::new(from).unwrap();
            let found = path(&rewrite, &own, None).ok();
            assert_eq!(found.as_deref(), *expected, "{from} {rewrite:?}");
        }
    }

    #[test]
    fn a_prefix_is_cut_at_segments() {
        for (from, prefix, expected) in [
            ("/orders/1", "/orders", "/1"),
            ("/orders", "/orders", "/"),
            ("/orders/", "/orders", "/"),
            ("/orders2/1", "/orders", "/orders2/1"),
            ("/other", "/orders", "/other"),
        ] {
            assert_eq!(stripped(from, prefix), expected, "{from}");
        }
    }

    #[test]
    fn a_prefix_is_replaced_at_segments() {
        let prefix = |to: &str| PathRewrite::Prefix { from: "/a".to_owned(), to: to.to_owned() };
        check(
            prefix("/b/c"),
            &[
                ("/a", Some("/b/c")),
                ("/a/", Some("/b/c/")),
                ("/a/x", Some("/b/c/x")),
                ("/ab", Some("/ab")),
                ("/x/a", Some("/x/a")),
            ],
        );
        check(prefix(""), &[("/a", Some("/")), ("/a/", Some("/")), ("/a/x", Some("/x"))]);
    }

    #[test]
    fn an_expression_makes_another_path_or_none() {
        let rewrite = |replace: &str| PathRewrite::Regex {
            pattern: Regex::new("/v(?<n>[0-9]+)/(.*)").unwrap(),
            replace: replace.to_owned(),
        };
        check(rewrite("/${n}/$2"), &[("/v1/a/b", Some("/1/a/b")), ("/x", Some("/x"))]);
        // What is not in normal form is never sent (THREATS promise 7).
        check(rewrite("/$2/../admin"), &[("/v1/a", None)]);
        check(rewrite("//$2"), &[("/v1/a", None)]);
        check(rewrite("$2"), &[("/v1/a", None)]);
        check(rewrite("/%2$2"), &[("/v1/e", None), ("/v1/f", None), ("/v1/", None)]);
        check(rewrite("/$2?x"), &[("/v1/a", None)]);
    }
}
