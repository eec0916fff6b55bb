//! Which route does a request belong to?

mod explain;

mod pattern;

mod condition;

use std::{cmp::Reverse, collections::HashMap, net::IpAddr};

use edgewit_model::{
    HeaderRule, HostPattern, ListenerName, Matcher, NormalizedPath, Regex, Route, RouteName,
};
use http::{HeaderMap, HeaderValue, Method};
use matchit::Router;

pub(crate) use condition::cookies;
pub use explain::{Candidate, Why};
use pattern::Pattern;

/// All routes, ready to be searched. Immutable.
///
/// Of all routes whose every condition holds the most specific one wins: an exact host before the longest wildcard
/// before none; then the path, segment by segment, text before parameter before `{*rest}`; then the larger number of
/// further conditions; then the name. A path that an expression describes stands between: behind all patterns that fit and
/// name every segment, before the first one that fits and ends with `{*rest}`; of two expressions the longer text first.
/// The order in the file never matters.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<Box<str>, Paths>,
    wildcard: HashMap<Box<str>, Paths>,
    any: Paths,
}

/// What a route is searched for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// `None`: whatever listener (for dry runs).
    pub listener: Option<&'a ListenerName>,
    /// Method of the request.
    pub method: &'a Method,
    /// Host in lower case, without port.
    pub host: &'a str,
    /// Path.
    pub path: &'a NormalizedPath,
    /// Query without its `?`.
    pub query: Option<&'a str>,
    /// Request fields.
    pub fields: &'a HeaderMap,
    /// Address of the client, as trusted proxies vouch for it. `None`: whatever client (for dry runs).
    pub client: Option<IpAddr>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Positions of the route, and of the matcher in it, in what the table was made of.
    Route(usize, usize),
    /// Only methods other than these are missing; a value for `allow` (RFC 9110 15.5.6).
    OtherMethods(HeaderValue),
    /// No route.
    Nothing,
}

/// A path that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path `{path}` of route `{route}` is no pattern: {why}")]
pub struct RouteError {
    /// Which route.
    pub route: RouteName,
    /// Its path.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Paths {
    /// Each finds the most specific of its patterns.
    routers: Vec<Router<usize>>,
    /// Patterns such as `/{name}.json`, each by itself: beside others matchit 0.9 does not go back far enough when one
    /// does not fit in the end.
    mixed: Vec<usize>,
    /// In the order of their specificity.
    patterns: Vec<(Pattern, Vec<Rule>)>,
    /// Paths that an expression describes, in the order in which they are tried.
    regexes: Vec<(Regex, Vec<Rule>)>,
}

/// One matcher of a route.
#[derive(Debug)]
struct Rule {
    route: usize,
    matcher: usize,
    name: RouteName,
    conditions: Matcher,
    listeners: Vec<ListenerName>,
}

/// Whether the conditions beyond host and path hold.
enum Fit {
    Yes,
    Method,
    No,
}

impl RouteTable {
    /// Builds the table.
    pub fn new<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Result<Self, RouteError> {
        let mut table = Self::default();
        for (index, route) in routes.into_iter().enumerate() {
            for (number, matcher) in route.matchers.iter().enumerate() {
                let paths = match &matcher.host {
                    None => &mut table.any,
                    Some(HostPattern::Exact(host)) => {
                        table.exact.entry(host.as_str().into()).or_default()
                    }
                    Some(HostPattern::Wildcard(suffix)) => {
                        table.wildcard.entry(suffix.as_str().into()).or_default()
                    }
                };
                let rule = |conditions: &Matcher| Rule {
                    route: index,
                    matcher: number,
                    name: route.name.clone(),
                    conditions: conditions.clone(),
                    listeners: route.listeners.clone(),
                };
                if let Some(regex) = &matcher.path_regex {
                    paths.add_regex(regex, rule(matcher));
                    continue;
                }
                for pattern in Pattern::all(&matcher.path) {
                    paths.add(pattern, rule(matcher));
                }
            }
        }
        for paths in table.all_paths() {
            paths.prepare()?;
        }
        Ok(table)
    }

    fn all_paths(&mut self) -> impl Iterator<Item = &mut Paths> {
        self.exact.values_mut().chain(self.wildcard.values_mut()).chain([&mut self.any])
    }

    /// Finds the route of a request.
    pub fn find(&self, ask: &Ask<'_>) -> Found {
        let mut methods = Vec::new();
        for paths in self.hosts(ask.host) {
            if let Some(rule) = paths.find(ask, &mut methods) {
                return Found::Route(rule.route, rule.matcher);
            }
        }
        allow(methods).map_or(Found::Nothing, Found::OtherMethods)
    }

    /// The tables that a host may be found in, the most specific first.
    fn hosts(&self, host: &str) -> impl Iterator<Item = &Paths> {
        let suffixes = host.match_indices('.').filter_map(|(dot, _)| host.get(dot..));
        let wildcards = suffixes.filter_map(|suffix| self.wildcard.get(suffix));
        self.exact.get(host).into_iter().chain(wildcards).chain([&self.any])
    }
}

impl Paths {
    fn add(&mut self, pattern: Pattern, rule: Rule) {
        self.patterns.push((pattern, vec![rule])); // alike ones are put together at the end
    }

    fn add_regex(&mut self, regex: &Regex, rule: Rule) {
        match self.regexes.iter_mut().find(|(r, _)| r == regex) {
            Some((_, rules)) => rules.push(rule),
            None => self.regexes.push((regex.clone(), vec![rule])),
        }
    }

    fn prepare(&mut self) -> Result<(), RouteError> {
        self.patterns.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.patterns.dedup_by(|(pattern, rules), (before, all)| {
            let is_same = pattern == before;
            if is_same {
                all.append(rules);
            }
            is_same
        });
        let order = |regex: &Regex| (Reverse(regex.as_str().len()), regex.as_str().to_owned());
        self.regexes.sort_by_cached_key(|(regex, _)| order(regex));
        let of_patterns = self.patterns.iter_mut().map(|(_, rules)| rules);
        for rules in of_patterns.chain(self.regexes.iter_mut().map(|(_, rules)| rules)) {
            rules.sort_by(|a, b| a.order().cmp(&b.order()));
        }
        for (index, (pattern, rules)) in self.patterns.iter().enumerate() {
            let inserted = match pattern.is_mixed() {
                true => {
                    self.mixed.push(index);
                    pattern.check()
                }
                false => insert(&mut self.routers, pattern, index),
            };
            if let Err(error) = inserted
                && let Some(rule) = rules.first()
            {
                return Err(RouteError {
                    route: rule.name.clone(),
                    path: rule.conditions.path.clone(),
                    why: error.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Position of the most specific pattern that matches.
    fn best(&self, path: &str) -> Option<usize> {
        let shared = self.routers.iter().filter_map(|router| router.at(path).ok());
        let shared = shared.map(|found| *found.value).min();
        let before = self.mixed.iter().take_while(|index| shared.is_none_or(|s| **index < s));
        let matches =
            |index: &&usize| self.patterns.get(**index).is_some_and(|(p, _)| p.matches(path));
        before.filter(matches).min().copied().or(shared)
    }

    /// The most specific rule that fits; else collects the methods that would have fitted.
    fn find(&self, ask: &Ask<'_>, methods: &mut Vec<Method>) -> Option<&Rule> {
        let path = ask.path.as_str();
        let Some(best) = self.best(path) else { return self.find_regex(ask, methods) };
        let mut regexes_left = !self.regexes.is_empty();
        // Nearly every request ends with the best pattern; the others are tried if none of its rules fits.
        let patterns = self.patterns.iter().enumerate().skip(best);
        for (_, (pattern, rules)) in
            patterns.filter(|(index, (p, _))| *index == best || p.matches(path))
        {
            if regexes_left && pattern.has_rest() {
                regexes_left = false;
                if let Some(rule) = self.find_regex(ask, methods) {
                    return Some(rule);
                }
            }
            if let Some(rule) = first_fit(rules, ask, methods) {
                return Some(rule);
            }
        }
        if regexes_left { self.find_regex(ask, methods) } else { None }
    }

    fn find_regex(&self, ask: &Ask<'_>, methods: &mut Vec<Method>) -> Option<&Rule> {
        let path = ask.path.as_str();
        let mut matching = self.regexes.iter().filter(|(regex, _)| regex.is_match(path));
        matching.find_map(|(_, rules)| first_fit(rules, ask, methods))
    }
}

fn first_fit<'r>(rules: &'r [Rule], ask: &Ask<'_>, methods: &mut Vec<Method>) -> Option<&'r Rule> {
    for rule in rules {
        match rule.fits(ask) {
            Fit::Yes => return Some(rule),
            Fit::Method => methods.extend(rule.conditions.methods.iter().cloned()),
            Fit::No => {}
        }
    }
    None
}

/// Inserts into the first router that can hold this pattern beside those it has: matchit does not hold `/{id}` and
/// `/{*rest}` together.
fn insert(
    routers: &mut Vec<Router<usize>>,
    pattern: &Pattern,
    index: usize,
) -> Result<(), matchit::InsertError> {
    for router in &mut *routers {
        match router.insert(pattern.text(), index) {
            Err(matchit::InsertError::Conflict { .. }) => {}
            result => return result,
        }
    }
    let mut router = Router::new();
    router.insert(pattern.text(), index)?;
    routers.push(router);
    Ok(())
}

impl Rule {
    /// Rules of one pattern in the order in which they are tried.
    fn order(&self) -> (Reverse<usize>, &str, usize) {
        let c = &self.conditions;
        let lists = usize::from(!c.methods.is_empty()) + usize::from(!c.clients.is_empty());
        let count = lists + c.headers.len() + c.query.len() + c.conditions.len(); // more first
        (Reverse(count), self.name.as_str(), self.matcher)
    }

    fn fits(&self, ask: &Ask<'_>) -> Fit {
        if !self.is_on(ask.listener) || !self.has_fields(ask.fields) || !self.has_query(ask.query) {
            return Fit::No;
        }
        let c = &self.conditions;
        if !condition::is_from(&c.clients, ask.client)
            || !c.conditions.iter().all(|own| condition::holds(own, ask))
        {
            return Fit::No;
        }
        if self.has_method(ask.method) { Fit::Yes } else { Fit::Method }
    }

    fn is_on(&self, listener: Option<&ListenerName>) -> bool {
        listener.is_none_or(|l| self.listeners.is_empty() || self.listeners.contains(l))
    }

    fn has_method(&self, method: &Method) -> bool {
        let methods = &self.conditions.methods;
        methods.is_empty()
            || methods.contains(method)
            || (method == Method::HEAD && methods.contains(&Method::GET))
    }

    fn has_fields(&self, fields: &HeaderMap) -> bool {
        self.conditions.headers.iter().all(|rule| has_field(fields, rule))
    }

    fn has_query(&self, query: Option<&str>) -> bool {
        self.conditions.query.iter().all(|pair| has_query(query, pair))
    }
}

fn has_field(fields: &HeaderMap, rule: &HeaderRule) -> bool {
    fields.get_all(&rule.name).iter().any(|value| *value == rule.value)
}

fn has_query(query: Option<&str>, (name, value): &(String, String)) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| pair.split_once('=').unwrap_or((pair, "")) == (name, value))
}

fn allow(mut methods: Vec<Method>) -> Option<HeaderValue> {
    if methods.contains(&Method::GET) {
        methods.push(Method::HEAD);
    }
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}

#[cfg(test)]
mod tests;
