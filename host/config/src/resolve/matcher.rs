//! `match` of a route: `[METHODS] [host]/path` or a table.

use std::ops::Range;

use edgewit_model::{
    Condition, HeaderRule, HostPattern, Matcher, NormalizedPath, Part, RouteName, Test,
};
use http::{HeaderName, HeaderValue, Method};

use super::{
    Cx,
    condition::{condition, networks, path_expression},
};
use crate::{
    Diagnostic, Place, code,
    code::Code,
    raw::{self, At, Matches, TextOr},
};

/// Conditions of one route; imports from other gateways can have many.
const MOST: usize = 1_024;
const MOST_METHODS: usize = 32;
/// Longer than what clients may send in a request line.
const LONGEST_PATH: usize = 8 << 10;

/// The conditions with their places; those that are wrong are reported and left out.
pub(super) fn matchers(
    raw: Option<&At<Matches>>,
    name: &RouteName,
    cx: &mut Cx<'_, '_>,
) -> Vec<(Matcher, Place)> {
    let Some(at) = raw else {
        if cx.lacks("match") {
            missing(name, cx);
        }
        return Vec::new();
    };
    let one = |m: &TextOr<raw::Match>, span: &Range<usize>, cx: &mut Cx<'_, '_>| {
        let found = match m {
            TextOr::Text(text) => from_text(text),
            TextOr::Table(table) => from_table(table, span),
        };
        let matcher = found.map_err(|error| error.report(span, cx)).ok()?;
        Some((matcher, cx.at(span)))
    };
    match &at.value {
        Matches::One(m) => one(m, &at.span, cx).into_iter().collect(),
        Matches::Many(list) => {
            if cx.lacks("match") || list.len() > MOST {
                let message = format!("a route has 1 to {MOST} conditions, not {}", list.len());
                cx.error(code::TOO_MANY, &at.span, message);
            }
            list.iter().take(MOST).filter_map(|m| one(&m.value, &m.span, cx)).collect()
        }
    }
}

fn missing(name: &RouteName, cx: &mut Cx<'_, '_>) {
    let message = format!("route `{name}` lacks `match`");
    let diagnostic = Diagnostic::new(code::MISSING_KEY, message).at(cx.item.place(), "");
    cx.report.push(diagnostic.help("match = \"/{*rest}\" matches every request"));
}

/// What is wrong with a condition, and where if it is known better.
#[derive(Debug)]
pub(super) struct Wrong {
    code: Code,
    message: String,
    label: String,
    span: Option<Range<usize>>,
}

impl Wrong {
    pub(super) fn new(code: Code, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { code, message: message.into(), label: label.into(), span: None }
    }

    pub(super) fn label(self, label: &str) -> Self {
        Self { label: label.to_owned(), ..self }
    }

    pub(super) fn at<T>(self, at: &At<T>) -> Self {
        Self { span: Some(at.span.clone()), ..self }
    }

    pub(super) fn report(self, span: &Range<usize>, cx: &mut Cx<'_, '_>) {
        cx.hint(self.code, self.span.as_ref().unwrap_or(span), self.message, self.label);
    }
}

fn from_text(text: &str) -> Result<Matcher, Wrong> {
    let mut words = text.split_whitespace();
    let (methods, target) = match (words.next(), words.next(), words.next()) {
        (Some(target), None, _) => ("", target),
        (Some(methods), Some(target), None) => (methods, target),
        _ => return Err(Wrong::new(code::INVALID_CONDITION, "this is no condition", SHAPE)),
    };
    let Some(slash) = target.find('/') else {
        let message = format!("the path is missing in `{text}`");
        return Err(Wrong::new(code::INVALID_PATH, message, SHAPE));
    };
    let (host, path) = target.split_at(slash);
    let methods = match methods {
        "" => Vec::new(),
        list => list.split(',').map(method).collect::<Result<_, _>>()?,
    };
    let host = if host.is_empty() { None } else { Some(host_pattern(host)?) };
    Ok(Matcher { host, path: checked_path(path)?, methods, ..Matcher::default() })
}

const SHAPE: &str = "expected `[METHODS] [host]/path`, such as `GET,POST api.example.com/orders`";

fn from_table(table: &raw::Match, span: &Range<usize>) -> Result<Matcher, Wrong> {
    let host = table.host.as_ref().map(|at| host_pattern(&at.value).map_err(|e| e.at(at)));
    let path = table.path.as_ref().map(|at| checked_path(&at.value).map_err(|e| e.at(at)));
    let mut methods = Vec::new();
    if let Some(list) = &table.method {
        if list.value.is_empty() || list.value.len() > MOST_METHODS {
            let message = format!("{} methods are too few or too many", list.value.len());
            return Err(Wrong::new(code::INVALID_CONDITION, message, "").at(list));
        }
        for at in &list.value {
            methods.push(method(&at.value).map_err(|e| e.at(at))?);
        }
    }
    if table.header.len() + table.query.len() + table.cookie.len() > MOST {
        let message = "too many conditions on header, query and cookie";
        return Err(Wrong { span: Some(span.clone()), ..Wrong::new(code::TOO_MANY, message, "") });
    }
    let path_regex = table.path_regex.as_ref().map(path_expression).transpose()?;
    if let (Some(_), Some(at)) = (&table.path, &table.path_regex) {
        let message = "a condition cannot have both `path` and `path-regex`";
        return Err(Wrong::new(code::INVALID_PATH, message, "").at(at));
    }
    let mut matcher = Matcher {
        host: host.transpose()?,
        path: path.transpose()?.unwrap_or_else(|| ANY_PATH.to_owned()),
        methods,
        path_regex,
        clients: table.client.as_ref().map(networks).transpose()?.unwrap_or_default(),
        ..Matcher::default()
    };
    for (key, at) in &table.header {
        let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| {
            let message = format!("`{key}` is no name of a header field");
            Wrong::new(code::INVALID_CONDITION, message, "").at(at)
        })?;
        match &at.value {
            TextOr::Text(text) => matcher.headers.push(header(name, text, at)?),
            TextOr::Table(test) => matcher.conditions.push(tested(Part::Header(name), test, at)?),
        }
    }
    for (key, at) in &table.query {
        match &at.value {
            TextOr::Text(text) => matcher.query.push((key.clone(), text.clone())),
            TextOr::Table(test) => {
                matcher.conditions.push(tested(Part::Query(key.clone()), test, at)?);
            }
        }
    }
    for (key, at) in &table.cookie {
        let part = Part::Cookie(key.clone());
        matcher.conditions.push(match &at.value {
            TextOr::Text(text) => Condition { part, test: Test::Exact(text.clone()) },
            TextOr::Table(test) => tested(part, test, at)?,
        });
    }
    Ok(matcher)
}

fn tested<T>(part: Part, test: &raw::Test, at: &At<T>) -> Result<Condition, Wrong> {
    condition(part, &At { value: test.clone(), span: at.span.clone() })
}

const ANY_PATH: &str = "/{*rest}";

fn method(text: &str) -> Result<Method, Wrong> {
    let upper = text.to_ascii_uppercase();
    let known = Method::from_bytes(text.as_bytes()).ok().filter(|_| text == upper);
    known.ok_or_else(|| {
        let label = match Method::from_bytes(upper.as_bytes()) {
            Ok(method) if !text.is_empty() => format!("did you mean `{method}`?"),
            _ => SHAPE.to_owned(),
        };
        Wrong::new(code::INVALID_CONDITION, format!("`{text}` is no method"), label)
    })
}

fn header<T>(name: HeaderName, text: &str, at: &At<T>) -> Result<HeaderRule, Wrong> {
    let value = HeaderValue::from_str(text).map_err(|_| {
        let message = format!("this is no value of a header field, `{name}`");
        Wrong::new(code::INVALID_CONDITION, message, "").at(at)
    })?;
    Ok(HeaderRule { name, value })
}

fn host_pattern(text: &str) -> Result<HostPattern, Wrong> {
    let wrong = |label: &str| {
        Wrong::new(code::INVALID_HOST, format!("`{text}` is no host to match"), label)
    };
    let host = text.to_ascii_lowercase();
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        let address: std::net::Ipv6Addr =
            address.parse().map_err(|_| wrong("expected an IPv6 address in brackets"))?;
        return Ok(HostPattern::Exact(format!("[{address}]")));
    }
    if host == "*" {
        return Err(wrong("leave the host out to match every host"));
    }
    if host.contains(':') {
        return Err(wrong("a host has no scheme and no port; use `listeners` for ports"));
    }
    if !host.is_ascii() {
        return Err(wrong("write other letters in punycode, `xn--...`"));
    }
    let suffix = host.strip_prefix("*.");
    let labels = suffix.unwrap_or(&host).split('.');
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if host.len() > 253 || !labels.clone().all(|l| !l.is_empty() && l.bytes().all(letter)) {
        return Err(wrong("expected something like `api.example.com` or `*.example.com`"));
    }
    Ok(match suffix {
        Some(suffix) => HostPattern::Wildcard(format!(".{suffix}")),
        None => HostPattern::Exact(host),
    })
}

/// Are these characters that stand in the path of a request line?
pub(super) fn is_path(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && !b"?#\\\"<>^`|".contains(&b);
    text.len() <= LONGEST_PATH && text.bytes().all(allowed)
}

/// The form in which paths are matched and sent. Braces and stars are characters like others to it, so that patterns and
/// templates can be brought into it.
pub(super) fn normal(path: &str) -> Option<String> {
    NormalizedPath::new(path).ok().map(|path| path.to_string())
}

fn checked_path(path: &str) -> Result<String, Wrong> {
    let wrong = |label: &str| {
        Wrong::new(code::INVALID_PATH, format!("`{path}` is no path to match"), label)
    };
    if !path.starts_with('/') {
        return Err(wrong("a path begins with `/`"));
    }
    if path.contains('?') {
        return Err(wrong("write `match = { path = ..., query = { key = \"value\" } }`"));
    }
    if !is_path(path) {
        return Err(wrong("only the characters of a request line, at most 8 KiB; encode others"));
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(wrong("requests are matched without `.` and `..`"));
    }
    match normal(path) {
        Some(normal) if normal == path => {}
        Some(normal) => {
            return Err(wrong(&format!("requests are matched in normal form: `{normal}`")));
        }
        None => return Err(wrong("requests with such a path are refused")),
    }
    match matchit::Router::new().insert(path, ()) {
        Ok(()) => Ok(path.to_owned()),
        Err(matchit::InsertError::InvalidParamSegment) => {
            Err(wrong("only one parameter in each segment"))
        }
        Err(matchit::InsertError::InvalidCatchAll) => {
            Err(wrong("`{*name}` stands at the end, behind a slash"))
        }
        Err(_) => Err(wrong("parameters look like `{name}`; braces are written twice, `{{`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(m: &Matcher) -> String {
        let host = match &m.host {
            Some(HostPattern::Exact(host)) => host.clone(),
            Some(HostPattern::Wildcard(suffix)) => format!("*{suffix}"),
            None => String::new(),
        };
        let methods: Vec<&str> = m.methods.iter().map(Method::as_str).collect();
        format!("{} {host}{}", methods.join(","), m.path).trim_start().to_owned()
    }

    #[test]
    fn the_short_form_is_methods_host_and_path() {
        for text in [
            "/",
            "/{*rest}",
            "GET /orders/{id}",
            "GET,POST api.example.com/orders/{*rest}",
            "*.example.com/",
            "[::1]/a",
            "M-SEARCH /img-{name}.png",
            "/{{literal}}",
            "10.0.0.1/%C3%A4",
        ] {
            assert_eq!(show(&from_text(text).unwrap()), text);
        }
        assert_eq!(
            show(&from_text("  GET   API.Example.com/A ").unwrap()),
            "GET api.example.com/A"
        );
    }

    #[test]
    fn what_cannot_match_is_refused() {
        let cases = [
            ("", "E0305"),
            ("GET", "E0302"),
            ("a b /c", "E0305"),
            ("get /", "E0305"),
            ("GET, /", "E0305"),
            ("/a?b=c", "E0302"),
            ("/a/../b", "E0302"),
            ("/ä", "E0302"),
            ("/a//b", "E0302"),
            ("/%c3%a4", "E0302"),
            ("/%7Ea", "E0302"),
            ("/a%2Fb", "E0302"),
            ("/a%", "E0302"),
            ("/{a}{b}", "E0302"),
            ("/{*rest}/a", "E0302"),
            ("/{", "E0302"),
            ("/{}", "E0302"),
            ("*/", "E0304"),
            ("a..b/", "E0304"),
            ("a:80/", "E0304"),
            ("http://a/", "E0304"),
            ("a.*.b/", "E0304"),
            ("ä.com/", "E0304"),
            ("[::g]/", "E0304"),
        ];
        for (text, code) in cases {
            assert_eq!(from_text(text).unwrap_err().code.id(), code, "{text}");
        }
    }
}
