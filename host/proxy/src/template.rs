//! Fills in templates with values of a request.

use std::borrow::Cow;

use edgewit_chain::Exchange;
use edgewit_model::{Matcher, Piece, Regex, Template};
use matchit::Router;

/// Where the parameters of the paths of one route come from, for each of its matchers.
#[derive(Debug, Default)]
pub(crate) struct Captures(Vec<Source>);

#[derive(Debug)]
enum Source {
    Pattern(Router<()>),
    Regex(Regex),
}

/// What the parameters of a path stand for.
pub(crate) enum Captured<'a> {
    Nothing,
    Pattern(matchit::Params<'a, 'a>),
    Regex(regex::Captures<'a>),
}

/// What a template is filled with. Parameters of the path go before values of the request; the configuration sees to it
/// that no name means both.
pub(crate) struct Values<'a> {
    exchange: &'a Exchange,
    captured: Captured<'a>,
}

impl Captures {
    /// For these matchers.
    pub(crate) fn new(matchers: &[Matcher]) -> Self {
        let source = |matcher: &Matcher| match &matcher.path_regex {
            Some(regex) => Source::Regex(regex.clone()),
            None => Source::Pattern(router(&matcher.path)),
        };
        Self(matchers.iter().map(source).collect())
    }

    /// What the parameters stand for in this path; `None` if the path does not fit the pattern, because a filter has
    /// chosen another.
    pub(crate) fn of<'a>(&'a self, matcher: usize, path: &'a str) -> Option<Captured<'a>> {
        match self.0.get(matcher)? {
            Source::Pattern(router) => Some(Captured::Pattern(router.at(path).ok()?.params)),
            Source::Regex(regex) => regex.captures(path).map(Captured::Regex),
        }
    }
}

/// The pattern, and with a trailing `{*rest}` also the path without anything behind its slash.
fn router(pattern: &str) -> Router<()> {
    let mut router = Router::new();
    let _ = router.insert(pattern, ()); // the table of routes has taken it before
    if let Some((front, last)) = pattern.rsplit_once('/')
        && last.starts_with("{*")
    {
        let _ = router.insert(format!("{front}/"), ());
    }
    router
}

impl Captured<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match self {
            Captured::Nothing => None,
            Captured::Pattern(params) => params.get(name),
            Captured::Regex(captures) => Some(captures.name(name)?.as_str()),
        }
    }
}

impl<'a> Values<'a> {
    pub(crate) fn new(exchange: &'a Exchange, captured: Option<Captured<'a>>) -> Self {
        Self { exchange, captured: captured.unwrap_or(Captured::Nothing) }
    }

    fn get(&self, name: &str) -> Cow<'_, str> {
        if let Some(value) = self.captured.get(name) {
            return value.into();
        }
        let exchange = self.exchange;
        match name {
            "scheme" => exchange.scheme.as_str().into(),
            "host" => exchange.authority.host().into(),
            "authority" => exchange.authority.as_str().into(),
            "path" => exchange.path.as_str().into(),
            "query" => exchange.query.as_deref().unwrap_or_default().into(),
            "client-address" => exchange.client.to_string().into(),
            "request-id" => exchange.request_id.as_ref().into(),
            "route" => exchange.route.as_str().into(),
            _ => "".into(), // a rest that is not there
        }
    }
}

/// The text. An empty `{query}` takes the `?` or `&` before it with it.
pub(crate) fn render(template: &Template, values: &Values<'_>) -> String {
    let mut out = String::with_capacity(template.as_str().len() + 32);
    for piece in template.pieces() {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value(name) => {
                let value = values.get(name);
                if name == "query" && value.is_empty() && out.ends_with(['?', '&']) {
                    out.pop();
                }
                out.push_str(&value);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_pattern_and_by_expression() {
        let pattern = |path: &str| Matcher { path: path.to_owned(), ..Matcher::default() };
        let regex = Some(Regex::new("/v(?<n>[0-9]+)(/(?<opt>x))?").unwrap());
        let captures = Captures::new(&[
            pattern("/o/{id}/{*rest}"),
            pattern("/f/{name}.json"),
            Matcher { path_regex: regex, ..Matcher::default() },
        ]);
        for (matcher, path, name, expected) in [
            (0, "/o/7/a/b", "id", Some(Some("7"))),
            (0, "/o/7/a/b", "rest", Some(Some("a/b"))),
            (0, "/o/7/", "id", Some(Some("7"))),
            (0, "/o/7/", "rest", Some(None)),
            (0, "/p/7/a", "id", None),
            (1, "/f/a.b.json", "name", Some(Some("a.b"))),
            (2, "/v12", "n", Some(Some("12"))),
            (2, "/v12", "opt", Some(None)),
            (2, "/w12", "n", None),
            (3, "/x", "x", None),
        ] {
            let found = captures.of(matcher, path);
            let found = found.as_ref().map(|captured| captured.get(name));
            assert_eq!(found, expected, "{path} {name}");
        }
    }
}
