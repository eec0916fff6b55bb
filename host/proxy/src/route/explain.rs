//! Why a request goes where it goes, for people.

use edgewit_model::{HeaderRule, HostPattern, Part, RouteName};
use http::HeaderName;

use super::{Ask, Paths, RouteTable, Rule, condition, has_field, has_query};

/// A matcher of a route, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The route.
    pub route: RouteName,
    /// Host and path of the matcher, as they are written in the configuration.
    pub pattern: String,
    /// What became of it.
    pub why: Why,
}

/// What became of a matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It wins.
    Wins,
    /// It fits, but another one is more specific.
    LessSpecific,
    /// Another host.
    Host,
    /// Another path.
    Path,
    /// Not reachable on this listener.
    Listener,
    /// Another method.
    Method,
    /// A field is missing or has another value.
    Header(HeaderName),
    /// A query parameter is missing or has another value.
    Query(String),
    /// A cookie is missing or has another value.
    Cookie(String),
    /// The client comes from elsewhere.
    Client,
}

impl RouteTable {
    /// All matchers in the order in which they are tried, and what became of each: a dry run.
    pub fn explain(&self, ask: &Ask<'_>) -> Vec<Candidate> {
        let mut out = Vec::new();
        let mut won = false;
        for paths in self.hosts(ask.host) {
            paths.explain(ask, &mut won, &mut out);
        }
        let seen: Vec<*const Paths> = self.hosts(ask.host).map(std::ptr::from_ref).collect();
        let all = self.exact.values().chain(self.wildcard.values()).chain([&self.any]);
        let mut others: Vec<Candidate> = all
            .filter(|paths| !seen.contains(&std::ptr::from_ref(*paths)))
            .flat_map(Paths::rules)
            .map(|rule| rule.candidate(Why::Host))
            .collect();
        others.sort_by(|a, b| a.route.cmp(&b.route));
        out.extend(others);
        out.dedup();
        out
    }
}

impl Paths {
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        let of_patterns = self.patterns.iter().flat_map(|(_, rules)| rules);
        of_patterns.chain(self.regexes.iter().flat_map(|(_, rules)| rules))
    }

    fn explain(&self, ask: &Ask<'_>, won: &mut bool, out: &mut Vec<Candidate>) {
        let path = ask.path.as_str();
        let mut try_rules = |rules: &[Rule]| {
            for rule in rules {
                let why = match rule.objection(ask) {
                    Some(why) => why,
                    None if *won => Why::LessSpecific,
                    None => {
                        *won = true;
                        Why::Wins
                    }
                };
                out.push(rule.candidate(why));
            }
        };
        let (matching, others): (Vec<_>, Vec<_>) =
            self.patterns.iter().partition(|(pattern, _)| pattern.matches(path));
        let whole = matching.iter().take_while(|(pattern, _)| !pattern.has_rest()).count();
        let (before, behind) = matching.split_at(whole);
        before.iter().for_each(|(_, rules)| try_rules(rules));
        let (described, not): (Vec<_>, Vec<_>) =
            self.regexes.iter().partition(|(regex, _)| regex.is_match(path));
        described.iter().for_each(|(_, rules)| try_rules(rules));
        behind.iter().for_each(|(_, rules)| try_rules(rules));
        let others = others.into_iter().flat_map(|(_, rules)| rules);
        let others = others.chain(not.into_iter().flat_map(|(_, rules)| rules));
        let mut elsewhere: Vec<Candidate> = others.map(|r| r.candidate(Why::Path)).collect();
        // `/x/{*rest}` is two patterns; what matched by one has not missed by the other.
        elsewhere.retain(|e| !out.iter().any(|o| o.route == e.route && o.pattern == e.pattern));
        out.extend(elsewhere);
    }
}

impl Rule {
    fn candidate(&self, why: Why) -> Candidate {
        let host = match &self.conditions.host {
            None => String::new(),
            Some(HostPattern::Exact(host)) => host.clone(),
            Some(HostPattern::Wildcard(suffix)) => format!("*{suffix}"),
        };
        let pattern = match &self.conditions.path_regex {
            Some(regex) => format!("{host} regex {}", regex.as_str()).trim_start().to_owned(),
            None => format!("{host}{}", self.conditions.path),
        };
        Candidate { route: self.name.clone(), pattern, why }
    }

    fn objection(&self, ask: &Ask<'_>) -> Option<Why> {
        if !self.is_on(ask.listener) {
            return Some(Why::Listener);
        }
        let missing = |rule: &&HeaderRule| !has_field(ask.fields, rule);
        if let Some(rule) = self.conditions.headers.iter().find(missing) {
            return Some(Why::Header(rule.name.clone()));
        }
        if let Some((name, _)) = self.conditions.query.iter().find(|q| !has_query(ask.query, q)) {
            return Some(Why::Query(name.clone()));
        }
        if !condition::is_from(&self.conditions.clients, ask.client) {
            return Some(Why::Client);
        }
        if let Some(c) = self.conditions.conditions.iter().find(|c| !condition::holds(c, ask)) {
            return Some(match &c.part {
                Part::Header(name) => Why::Header(name.clone()),
                Part::Query(name) => Why::Query(name.clone()),
                Part::Cookie(name) => Why::Cookie(name.clone()),
            });
        }
        (!self.has_method(ask.method)).then_some(Why::Method)
    }
}
