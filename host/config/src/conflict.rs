//! Routes that get into each other's way: the same requests.
//!
//! Patterns of any kind may live side by side: which of them wins is a matter of how specific they are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use edgewit_model::{HostPattern, ListenerName, Matcher, Route, RouteName};

use crate::{Diagnostic, Memo, Place, Report, code, places::Places};

/// Reports conflicts between the conditions of all routes, unless it is known that there are none.
pub(crate) fn check(
    routes: &BTreeMap<RouteName, Arc<Route>>,
    places: &Places,
    memo: Option<&mut Memo>,
    report: &mut Report,
) {
    if memo.as_ref().is_some_and(|memo| memo.is_free_of_conflicts()) {
        return;
    }
    let mut conditions = Vec::new();
    for route in routes.values() {
        let places = places.routes.get(&route.name).into_iter().flat_map(|places| &places.matchers);
        for (matcher, place) in route.matchers.iter().zip(places) {
            conditions.push(Condition { route, matcher, place });
        }
    }
    conditions.sort_by_key(|condition| condition.place.order());
    if same_requests(&conditions, report) {
        return;
    }
    if let Some(memo) = memo {
        memo.found_no_conflict();
    }
}

struct Condition<'a> {
    route: &'a Route,
    matcher: &'a Matcher,
    place: &'a Place,
}

/// Everything of a condition but its methods.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    host: Option<&'a HostPattern>,
    path: String,
    headers: BTreeSet<Vec<u8>>,
    query: BTreeSet<&'a (String, String)>,
    /// As they are written: two expressions that describe the same texts in other words are two.
    others: BTreeSet<String>,
}

impl<'a> Condition<'a> {
    fn key(&self) -> Key<'a> {
        let header = |rule: &edgewit_model::HeaderRule| {
            [rule.name.as_str().as_bytes(), b":", rule.value.as_bytes()].concat()
        };
        let conditions = self.matcher.conditions.iter().map(|c| format!("{c:?}"));
        let clients = self.matcher.clients.iter().map(|net| format!("{net:?}"));
        let mut path = String::new();
        self.path(&mut path);
        Key {
            host: self.matcher.host.as_ref(),
            path,
            headers: self.matcher.headers.iter().map(header).collect(),
            query: self.matcher.query.iter().collect(),
            others: conditions.chain(clients).collect(),
        }
    }

    /// Writes the path with the names of its parameters replaced, or its expression, which begins with no slash of a path
    /// here.
    fn path(&self, out: &mut String) {
        match &self.matcher.path_regex {
            Some(regex) => {
                out.push_str("regex ");
                out.push_str(regex.as_str());
            }
            None => shape(&self.matcher.path, out),
        }
    }

    /// Given the same key: is there a request that fits both equally well?
    fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (&self.matcher.methods, &other.matcher.methods);
        let methods = (a.is_empty() && b.is_empty()) || a.iter().any(|method| b.contains(method));
        self.route.name != other.route.name
            && methods
            && common(&self.route.listeners, &other.route.listeners)
    }
}

/// An empty list means all listeners.
fn common(a: &[ListenerName], b: &[ListenerName]) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|name| b.contains(name))
}

/// Conditions that others share a host and the shape of a path with: of thousands of routes few do.
fn not_alone<'c, 'a>(conditions: &'c [Condition<'a>]) -> Vec<&'c Condition<'a>> {
    let hash = RandomState::new();
    let mut text = String::new();
    let digest = |condition: &Condition<'_>| {
        text.clear();
        condition.path(&mut text);
        hash.hash_one((&condition.matcher.host, &text))
    };
    let digests: Vec<u64> = conditions.iter().map(digest).collect();
    let mut sorted = digests.clone();
    sorted.sort_unstable();
    let several = |digest: &u64| {
        let first = sorted.partition_point(|known| known < digest);
        sorted.get(first + 1) == Some(digest)
    };
    let all = conditions.iter().zip(&digests);
    all.filter(|(_, digest)| several(digest)).map(|(condition, _)| condition).collect()
}

/// False if it is certain that there are none, among these and among any of them.
fn same_requests(conditions: &[Condition<'_>], report: &mut Report) -> bool {
    let mut uncertain = false;
    let conditions = not_alone(conditions);
    let mut groups: HashMap<Key<'_>, Vec<&Condition<'_>>> = HashMap::new();
    for condition in conditions {
        let group = groups.entry(condition.key()).or_default();
        let first = group.iter().take(MOST_COMPARED).find(|first| first.overlaps(condition));
        if let Some(first) = first {
            uncertain = true;
            let (one, two) = (&first.route.name, &condition.route.name);
            let diagnostic = Diagnostic::new(code::SAME_REQUESTS, SAME)
                .at(condition.place.clone(), format!("`{two}` can never be reached"))
                .at(first.place.clone(), format!("`{one}` matches here first"))
                .help("add a host, a header or a method to one of them, or use `upstreams` with weights");
            report.push(diagnostic);
        } else {
            group.push(condition);
            uncertain |= group.len() > MOST_COMPARED; // a part of them may show what all of them hide
        }
    }
    uncertain
}

const SAME: &str = "two routes match the same requests";
/// Conditions that differ in their methods or listeners only.
const MOST_COMPARED: usize = 1_000;

/// Writes the path with the names of its parameters replaced by their number.
fn shape(path: &str, out: &mut String) {
    let mut count = 0;
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push('{');
        if let Some(literal) = after.strip_prefix('{') {
            out.push('{');
            rest = literal;
            continue;
        }
        if after.starts_with('*') {
            out.push('*');
        }
        out.push('p');
        match char::from_digit(count, 10) {
            Some(digit) => out.push(digit),
            None => out.push_str(&count.to_string()),
        }
        count += 1;
        rest = after.find('}').and_then(|end| after.get(end..)).unwrap_or_default();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parameters_do_not_matter() {
        for (path, expected) in [
            ("/a", "/a"),
            ("/{id}/b/{*rest}", "/{p0}/b/{*p1}"),
            ("/x-{id}.png", "/x-{p0}.png"),
            ("/{{id}}", "/{{id}}"),
            ("/{", "/{p0"),
        ] {
            let mut found = String::new();
            shape(path, &mut found);
            assert_eq!(found, expected);
        }
    }
}
