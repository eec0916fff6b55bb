//! Whether a condition on a header field, a query parameter or a cookie holds.

use std::net::IpAddr;

use edgewit_model::{Condition, IpNet, Part, Test};
use http::{HeaderMap, header};

use super::Ask;

/// Whether one of the values that the request has by this name passes the test.
pub(super) fn holds(condition: &Condition, ask: &Ask<'_>) -> bool {
    let test = &condition.test;
    match &condition.part {
        Part::Header(name) => {
            let lines = ask.fields.get_all(name).iter();
            passes(test, lines.map(|line| std::str::from_utf8(line.as_bytes()).ok()))
        }
        Part::Query(name) => passes(test, parameters(ask.query, name).map(Some)),
        Part::Cookie(name) => passes(test, cookies(ask.fields, name).map(Some)),
    }
}

/// `None` is a value that is no text: it is there, but no test of its text holds.
fn passes<'a>(test: &Test, mut values: impl Iterator<Item = Option<&'a str>>) -> bool {
    match test {
        Test::Exact(text) => values.any(|value| value == Some(text)),
        Test::Prefix(text) => values.flatten().any(|value| value.starts_with(text.as_str())),
        Test::Regex(regex) => values.flatten().any(|value| regex.is_match(value)),
        Test::Present => values.next().is_some(),
        Test::Absent => values.next().is_none(),
    }
}

fn parameters<'a>(query: Option<&'a str>, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter_map(move |(key, value)| (key == name).then_some(value))
}

/// Values of a cookie (RFC 6265 4.2.1). HTTP/2 may send each cookie in a field of its own.
pub(crate) fn cookies<'a>(fields: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = fields.get_all(header::COOKIE).iter();
    let lines = lines.filter_map(|line| std::str::from_utf8(line.as_bytes()).ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter_map(move |(key, value)| (key.trim() == name).then_some(value.trim()))
}

/// `None` as a client fits everywhere: a dry run knows none.
pub(super) fn is_from(networks: &[IpNet], client: Option<IpAddr>) -> bool {
    networks.is_empty() || client.is_none_or(|client| networks.iter().any(|n| n.contains(client)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_in_every_field() {
        let mut fields = HeaderMap::new();
        for line in ["a=1; b=2;c=\"3\"", "d=x=y", "broken", "a=4"] {
            fields.append(header::COOKIE, HeaderValue::from_static(line));
        }
        let check = |name: &str, expected: &[&str]| {
            assert_eq!(cookies(&fields, name).collect::<Vec<_>>(), expected, "{name}");
        };
        check("a", &["1", "4"]);
        check("b", &["2"]);
        check("c", &["\"3\""]);
        check("d", &["x=y"]);
        check("broken", &[]);
        check("A", &[]);
    }
}
