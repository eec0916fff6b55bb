//! `rewrite` of a route.

use edgewit_model::{Authority, PathRewrite, Rewrite, Template};

use super::{
    Cx, condition, matcher,
    template::{Captures, template},
};
use crate::{
    code,
    raw::{self, At},
};

pub(super) fn rewrite(
    raw: Option<&At<raw::Rewrite>>,
    captures: &Captures<'_>,
    cx: &mut Cx<'_, '_>,
) -> Rewrite {
    let Some(At { value: raw, .. }) = raw else { return Rewrite::default() };
    at_most_one(raw, cx);
    if let Some(prefix) = &raw.strip_prefix {
        self::prefix(prefix, cx);
    }
    let upstream_host = raw.host.as_ref().is_some_and(|at| at.value == "upstream");
    Rewrite {
        strip_prefix: raw.strip_prefix.as_ref().map(|prefix| prefix.value.clone()),
        upstream_host,
        host: raw.host.as_ref().filter(|_| !upstream_host).and_then(|at| host(at, cx)),
        path: path(raw, captures, cx),
        query: raw.query.as_ref().and_then(|at| query(at, captures, cx)),
    }
}

fn at_most_one(raw: &raw::Rewrite, cx: &mut Cx<'_, '_>) {
    let ways = [
        raw.strip_prefix.as_ref().map(|at| ("strip-prefix", &at.span)),
        raw.prefix.as_ref().map(|at| ("prefix", &at.span)),
        raw.path.as_ref().map(|at| ("path", &at.span)),
        raw.regex.as_ref().map(|at| ("regex", &at.span)),
    ];
    let mut there = ways.into_iter().flatten();
    if let (Some((first, _)), Some((second, span))) = (there.next(), there.next()) {
        let message = format!("a path is rewritten in one way, not by `{first}` and `{second}`");
        cx.error(code::INVALID_REWRITE, span, message);
    }
}

fn prefix(at: &At<String>, cx: &mut Cx<'_, '_>) {
    let text = at.value.as_str();
    if !is_normal(text) || text.ends_with('/') {
        let message = format!("`{text}` is no prefix of a path");
        let label = "expected something like `/orders`, without a slash at the end";
        cx.hint(code::INVALID_REWRITE, &at.span, message, label);
    }
}

/// Could it be sent as it stands?
fn is_normal(path: &str) -> bool {
    matcher::is_path(path) && matcher::normal(path).is_some_and(|normal| normal == path)
}

fn host(at: &At<String>, cx: &mut Cx<'_, '_>) -> Option<Authority> {
    let host = Authority::new(&at.value).ok();
    if host.is_none() {
        let message = format!("`{}` is no host to send", at.value);
        let label = "expected `upstream` or something like `api.internal:8080`";
        cx.hint(code::INVALID_REWRITE, &at.span, message, label);
    }
    host
}

fn path(raw: &raw::Rewrite, captures: &Captures<'_>, cx: &mut Cx<'_, '_>) -> Option<PathRewrite> {
    if let Some(at) = &raw.path {
        if !is_normal(&at.value) {
            let message = format!("`{}` is no path in normal form", at.value);
            let label = "a path begins with `/` and has no `//`, `.` and `..`";
            cx.hint(code::INVALID_REWRITE, &at.span, message, label);
        }
        return template(at, &[], captures, cx).map(PathRewrite::Template);
    }
    if let Some(At { value: raw, .. }) = &raw.prefix {
        prefix(&raw.from, cx);
        if raw.to.value != "/" {
            prefix(&raw.to, cx);
        }
        let to = raw.to.value.trim_end_matches('/').to_owned();
        return Some(PathRewrite::Prefix { from: raw.from.value.clone(), to });
    }
    let At { value: raw, .. } = raw.regex.as_ref()?;
    let pattern = match condition::path_expression(&raw.pattern) {
        Ok(pattern) => pattern,
        Err(wrong) => {
            wrong.report(&raw.pattern.span, cx);
            return None;
        }
    };
    let replace = raw.replace.value.clone();
    for name in groups(&replace) {
        let number = name.parse::<usize>().ok();
        if number.map_or(pattern.names().any(|n| n == name), |n| n <= pattern.groups()) {
            continue;
        }
        let message = format!("the expression has no group `{name}`");
        let label = "write `${name}` if letters follow, and `$$` for a dollar";
        cx.hint(code::INVALID_REWRITE, &raw.replace.span, message, label);
    }
    Some(PathRewrite::Regex { pattern, replace })
}

/// The groups that a replacement names, as the regex crate reads it.
fn groups(replace: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = replace;
    while let Some((_, after)) = rest.split_once('$') {
        rest = if let Some(escaped) = after.strip_prefix('$') {
            escaped
        } else if let Some((name, behind)) =
            after.strip_prefix('{').and_then(|braced| braced.split_once('}'))
        {
            out.push(name);
            behind
        } else {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after.find(|c| !letter(c)).unwrap_or(after.len());
            let (name, behind) = after.split_at(end);
            out.push(name);
            behind
        };
    }
    out
}

fn query(at: &At<String>, captures: &Captures<'_>, cx: &mut Cx<'_, '_>) -> Option<Template> {
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'#';
    if !at.value.bytes().all(allowed) || at.value.starts_with('?') {
        let label = "expected something like `a=1&{query}`, without `?`; encode other characters";
        cx.hint(code::INVALID_REWRITE, &at.span, "this is no query", label);
    }
    template(at, &["query"], captures, cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_as_the_expression_reads_them() {
        let cases: [(&str, &[&str]); 6] = [
            ("/a", &[]),
            ("/$1/${two}", &["1", "two"]),
            ("/$1a", &["1a"]),
            ("/$$1", &[]),
            ("/$", &[""]),
            ("/${1}a$b_c-d", &["1", "b_c"]),
        ];
        for (text, expected) in cases {
            assert_eq!(groups(text), expected, "{text}");
        }
    }
}
