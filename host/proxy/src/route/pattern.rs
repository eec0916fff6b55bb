//! The path of a matcher, comparable by how specific it is.

use std::cmp::{Ordering, Reverse};

use matchit::{InsertError, Router};

/// The path of a matcher in the syntax of matchit, comparable by how specific it is.
///
/// Parameters are renamed by their position, so that `/orders/{id}` and `/orders/{order}` are one pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    text: String,
    ranks: Vec<Rank>,
    /// Only this pattern; or why it is none.
    alone: Result<Router<()>, InsertError>,
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
        let ranks = ranks(&text);
        let mut all = Vec::with_capacity(2);
        if let Some((front, last)) = text.rsplit_once('/')
            && last.starts_with("{*")
        {
            all.push(Self::new(format!("{front}/"), ranks.clone()));
        }
        all.push(Self::new(text, ranks));
        all
    }

    fn new(text: String, ranks: Vec<Rank>) -> Self {
        let mut router = Router::new();
        let alone = router.insert(text.clone(), ()).map(|()| router);
        Self { text, ranks, alone }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Has it a segment such as `{name}.json`?
    pub(super) fn is_mixed(&self) -> bool {
        self.ranks.iter().any(|rank| matches!(rank, Rank::Mixed(_)))
    }

    /// Does it end with `{*rest}`?
    pub(super) fn has_rest(&self) -> bool {
        self.ranks.last() == Some(&Rank::Rest)
    }

    pub(super) fn check(&self) -> Result<(), InsertError> {
        self.alone.as_ref().map(drop).map_err(Clone::clone)
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        self.alone.as_ref().is_ok_and(|router| router.at(path).is_ok())
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

fn rename(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
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
                let star = if name.starts_with('*') { "*" } else { "" };
                out.push_str(&format!("{star}p{number}}}"));
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
