//! The path of a matcher, comparable by how specific it is.

use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

use matchit::{InsertError, Router};

/// The path of a matcher in the syntax of matchit, comparable by how specific it is.
///
/// Parameters are renamed by their position, so that `/orders/{id}` and `/orders/{order}` are one pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    text: String,
    /// Shared by the patterns of one path.
    ranks: Arc<[Rank]>,
    /// Only this pattern, or why it is none; if it is not as simple as segments that are compared one by one.
    alone: Option<Result<Router<()>, InsertError>>,
}

/// Of a segment, the more specific first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Text(String),
    /// A parameter with text around it; more text first.
    Mixed(Reverse<usize>),
    Parameter,
    Rest,
}

impl Pattern {
    /// The pattern of a path; and with a trailing `{*rest}` the path without anything behind its slash, which matchit
    /// does not match by itself.
    pub(super) fn all(path: &str) -> Vec<Self> {
        let text = rename(path);
        let ranks: Arc<[Rank]> = ranks(&text).into();
        let mut all = Vec::with_capacity(2);
        if let Some((front, last)) = text.rsplit_once('/')
            && last.starts_with("{*")
        {
            all.push(Self::new(format!("{front}/"), Arc::clone(&ranks)));
        }
        all.push(Self::new(text, ranks));
        all
    }

    fn new(text: String, ranks: Arc<[Rank]>) -> Self {
        let is_simple = !ranks.iter().any(Rank::is_mixed) && !has_escapes(&text);
        let alone = (!is_simple).then(|| {
            let mut router = Router::new();
            router.insert(text.clone(), ()).map(|()| router)
        });
        Self { text, ranks, alone }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Has it a segment such as `{name}.json`?
    pub(super) fn is_mixed(&self) -> bool {
        self.ranks.iter().any(Rank::is_mixed)
    }

    /// Does it end with `{*rest}`?
    pub(super) fn has_rest(&self) -> bool {
        self.ranks.last() == Some(&Rank::Rest)
    }

    pub(super) fn check(&self) -> Result<(), InsertError> {
        self.alone.as_ref().map_or(Ok(()), |alone| alone.as_ref().map(drop).map_err(Clone::clone))
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.alone {
            Some(alone) => alone.as_ref().is_ok_and(|router| router.at(path).is_ok()),
            None => fits(&self.text, path),
        }
    }
}

/// Does a path match a pattern whose every segment is a text, a parameter or the rest? As matchit would say it, but
/// without a router for each of thousands of patterns.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        let is_fitting = match (wanted.next(), segments.next()) {
            (Some(wanted), Some(first)) if wanted.starts_with("{*") => {
                return !first.is_empty() || segments.next().is_some();
            }
            (Some(wanted), Some(segment)) if wanted.starts_with('{') => !segment.is_empty(),
            (wanted, segment) if wanted.is_none() || segment.is_none() => {
                return wanted.is_none() && segment.is_none();
            }
            (wanted, segment) => wanted == segment,
        };
        if !is_fitting {
            return false;
        }
    }
}

impl Rank {
    fn is_mixed(&self) -> bool {
        matches!(self, Self::Mixed(_))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pattern {}

impl Ord for Pattern {
    /// The more specific is less.
    fn cmp(&self, other: &Self) -> Ordering {
        self.ranks.cmp(&other.ranks).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Are there braces that stand for themselves?
fn has_escapes(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair == b"{{" || pair == b"}}")
}

fn rename(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 2);
    let mut number = 0;
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push('{');
        rest = match (after.strip_prefix('{'), after.split_once('}')) {
            (Some(literal), _) => {
                out.push('{');
                literal
            }
            (None, Some((name, behind))) => {
                if name.starts_with('*') {
                    out.push('*');
                }
                out.push('p');
                match char::from_digit(number, 10) {
                    Some(digit) => out.push(digit),
                    None => out.push_str(&number.to_string()),
                }
                out.push('}');
                number += 1;
                behind
            }
            (None, None) => after,
        };
    }
    out.push_str(rest);
    out
}

fn ranks(text: &str) -> Vec<Rank> {
    let rank = |segment: &str| {
        if !segment.contains(['{', '}']) {
            return Rank::Text(segment.to_owned());
        }
        // Nearly always; thousands of routes would feel the long way.
        let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) {
            return if inner.starts_with('*') { Rank::Rest } else { Rank::Parameter };
        }
        let braces = segment.replace("{{", "").replace("}}", "");
        match (braces.find('{'), braces.find('}')) {
            (Some(0), Some(_)) if braces.starts_with("{*") => Rank::Rest,
            (Some(0), Some(end)) if end + 1 == braces.len() && braces == segment => Rank::Parameter,
            (Some(_), Some(_)) => Rank::Mixed(Reverse(segment.len())),
            _ => Rank::Text(segment.to_owned()),
        }
    };
    text.split('/').skip(1).map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_pattern_matches_what_matchit_matches() {
        let words = ["", "a", "b", "{p}", "{*p}", "aa"];
        let mut texts: Vec<String> = vec![String::new()];
        for _ in 0..3 {
            let longer = texts.iter().flat_map(|t| words.iter().map(move |w| format!("{t}/{w}")));
            texts = longer.chain(texts.iter().cloned()).collect();
        }
        texts.sort();
        texts.dedup();
        let paths: Vec<_> = texts.iter().filter(|text| !text.contains('{')).collect();
        let mut compared = 0;
        for text in &texts {
            let mut router = Router::new();
            let number = rename(text);
            if text.is_empty() || router.insert(number.as_str(), ()).is_err() {
                continue;
            }
            let pattern = Pattern::all(text).pop().unwrap();
            assert!(pattern.alone.is_none(), "{text}");
            for path in paths.iter().filter(|path| !path.is_empty()) {
                assert_eq!(pattern.matches(path), router.at(path).is_ok(), "{text} {path}");
                compared += 1;
            }
        }
        assert!(compared > 5_000, "{compared}");
    }

    #[test]
    fn patterns_are_ordered_by_how_specific_they_are() {
        let ordered = [
            "/orders/new",
            "/orders/{a}.tar.gz",
            "/orders/{a}.gz",
            "/orders/{a}",
            "/orders/{*a}",
            "/{a}/new",
        ];
        let patterns: Vec<Pattern> =
            ordered.iter().map(|p| Pattern::all(p).pop().unwrap()).collect();
        assert!(patterns.is_sorted());
    }

    #[test]
    fn names_of_parameters_do_not_matter() {
        let one = Pattern::all("/a/{id}/{*rest}");
        assert_eq!(one, Pattern::all("/a/{order}/{*x}"));
        let texts: Vec<&str> = one.iter().map(Pattern::text).collect();
        assert_eq!(texts, ["/a/{p0}/", "/a/{p0}/{*p1}"]);
        assert_eq!(Pattern::all("/a/{{b}}")[0].text(), "/a/{{b}}");
    }
}
