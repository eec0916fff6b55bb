//! `edgewit routes`: which routes there are, and which one wins for a request.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, bail};
use edgewit_config::Loaded;
use edgewit_control::Source;
use edgewit_model::{
    Action, Authority, Condition, HostPattern, Matcher, NormalizedPath, Part, Route, Test,
};
use edgewit_proxy::{Ask, Candidate, RouteTable, Why};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;

use crate::{
    cli::{self, Global},
    config,
    screen::{Screen, table},
};

/// Lists or explains. Fails if no route wins.
pub(crate) fn run(
    global: &Global,
    options: &cli::Routes,
    screen: Screen,
) -> anyhow::Result<ExitCode> {
    let loaded = match config::must_find(global)? {
        Source::File(path) => edgewit_config::load(&path),
        Source::Text { name, text, base } => edgewit_config::load_text(&name, &text, &base),
        Source::Welcome => bail!("there is no configuration"),
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(report) => {
            config::show(&report, screen);
            return Ok(ExitCode::FAILURE);
        }
    };
    match (&options.method, &options.url) {
        (Some(method), Some(url)) => explain(&loaded, method, url, &options.headers, screen),
        _ => list(&loaded, screen),
    }
}

fn list(loaded: &Loaded, screen: Screen) -> anyhow::Result<ExitCode> {
    let routes = loaded.config.routes.values().map(Arc::as_ref);
    if screen.is_json() {
        let object = |route: &Route| {
            json!({
                "name": route.name,
                "match": route.matchers.iter().map(pattern).collect::<Vec<_>>(),
                "listeners": route.listeners,
                "filters": filters(route),
                "action": action(route),
            })
        };
        screen.json(&routes.map(object).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = routes.flat_map(rows).collect();
    screen.data(table(&["ROUTE", "MATCH", "LISTENERS", "FILTERS", "ACTION"], &rows));
    Ok(ExitCode::SUCCESS)
}

/// One row for each matcher; what they share stands in the first.
fn rows(route: &Route) -> Vec<Vec<String>> {
    let listeners: Vec<_> = route.listeners.iter().map(ToString::to_string).collect();
    let listeners = if listeners.is_empty() { "all".to_owned() } else { listeners.join(", ") };
    let row = |(n, matcher): (usize, &Matcher)| match n {
        0 => vec![
            route.name.to_string(),
            pattern(matcher),
            listeners.clone(),
            filters(route).join(" → "),
            action(route),
        ],
        _ => vec![String::new(), pattern(matcher)],
    };
    route.matchers.iter().enumerate().map(row).collect()
}

fn filters(route: &Route) -> Vec<String> {
    route.filters.iter().map(|filter| filter.plugin.to_string()).collect()
}

fn action(route: &Route) -> String {
    match &route.action {
        Action::Forward(targets) => match targets.as_slice() {
            [only] => only.name.to_string(),
            several => {
                let words =
                    several.iter().map(|target| format!("{}:{}", target.name, target.weight));
                words.collect::<Vec<_>>().join(", ")
            }
        },
        Action::Respond(respond) => format!("respond {}", respond.status.as_u16()),
        Action::Redirect(redirect) => {
            let location = String::from_utf8_lossy(redirect.location.as_bytes());
            format!("redirect {} {location}", redirect.status.as_u16())
        }
    }
}

fn pattern(matcher: &Matcher) -> String {
    let methods: Vec<_> = matcher.methods.iter().map(Method::as_str).collect();
    let host = match &matcher.host {
        None => String::new(),
        Some(HostPattern::Exact(host)) => host.clone(),
        Some(HostPattern::Wildcard(suffix)) => format!("*{suffix}"),
    };
    let space = if methods.is_empty() { "" } else { " " };
    let path = match &matcher.path_regex {
        Some(regex) => format!(" regex {}", regex.as_str()),
        None => matcher.path.clone(),
    };
    let mut text = format!("{}{space}{host}{path}", methods.join(","));
    for rule in &matcher.headers {
        text += &format!(" {}={}", rule.name, String::from_utf8_lossy(rule.value.as_bytes()));
    }
    for (name, value) in &matcher.query {
        text += &format!(" ?{name}={value}");
    }
    for condition in &matcher.conditions {
        text += &format!(" {}", tested(condition));
    }
    for network in &matcher.clients {
        text += &format!(" from {network}");
    }
    text
}

fn tested(condition: &Condition) -> String {
    let name = match &condition.part {
        Part::Header(name) => name.to_string(),
        Part::Query(name) => format!("?{name}"),
        Part::Cookie(name) => format!("cookie {name}"),
    };
    match &condition.test {
        Test::Exact(value) => format!("{name}={value}"),
        Test::Prefix(value) => format!("{name}={value}..."),
        Test::Regex(regex) => format!("{name}~{}", regex.as_str()),
        Test::Present => name,
        Test::Absent => format!("no {name}"),
    }
}

fn explain(
    loaded: &Loaded,
    method: &Method,
    url: &str,
    headers: &[String],
    screen: Screen,
) -> anyhow::Result<ExitCode> {
    let target = Target::parse(url)?;
    let fields = fields(headers)?;
    let routes = RouteTable::new(loaded.config.routes.values().map(Arc::as_ref))?;
    let candidates = routes.explain(&Ask {
        listener: None,
        method,
        host: &target.host,
        path: &target.path,
        query: target.query.as_deref(),
        fields: &fields,
        client: None,
    });
    let winner = candidates.iter().find(|c| c.why == Why::Wins).map(|c| c.route.to_string());
    if screen.is_json() {
        let object = |c: &Candidate| json!({ "route": c.route, "pattern": c.pattern, "wins": c.why == Why::Wins, "why": why(&c.why) });
        let all: Vec<_> = candidates.iter().map(object).collect();
        screen.json(&json!({ "winner": winner, "candidates": all }))?;
    } else {
        let row = |c: &Candidate| vec![c.route.to_string(), c.pattern.clone(), why(&c.why)];
        let rows: Vec<_> = candidates.iter().map(row).collect();
        screen.data(table(&["ROUTE", "PATTERN", "RESULT"], &rows));
        if winner.is_none() {
            screen.note("no route wins: the answer is 404, or 405 if only the method differs");
        }
    }
    Ok(if winner.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn why(why: &Why) -> String {
    match why {
        Why::Wins => "wins".to_owned(),
        Why::LessSpecific => "fits, but is less specific".to_owned(),
        Why::Host => "another host".to_owned(),
        Why::Path => "another path".to_owned(),
        Why::Listener => "another listener".to_owned(),
        Why::Method => "another method".to_owned(),
        Why::Header(name) => format!("header `{name}` is missing or different"),
        Why::Query(name) => format!("query parameter `{name}` is missing or different"),
        Why::Cookie(name) => format!("cookie `{name}` is missing or different"),
        Why::Client => "clients from elsewhere".to_owned(),
    }
}

struct Target {
    host: String,
    path: NormalizedPath,
    query: Option<String>,
}

impl Target {
    /// A URL with or without its scheme, or only a path.
    fn parse(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let rest = rest.unwrap_or(url);
        let (authority, target) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let host = match authority {
            "" => String::new(),
            text => Authority::new(text).with_context(|| format!("`{text}`"))?.host().to_owned(),
        };
        let path = NormalizedPath::new(if path.is_empty() { "/" } else { path })?;
        Ok(Self { host, path, query })
    }
}

fn fields(headers: &[String]) -> anyhow::Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for header in headers {
        let (name, value) =
            header.split_once(':').with_context(|| format!("`{header}` has no colon"))?;
        let name: HeaderName = name.trim().parse().with_context(|| format!("`{header}`"))?;
        let value = HeaderValue::from_str(value.trim()).with_context(|| format!("`{header}`"))?;
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_url_may_be_short() {
        let cases = [
            ("http://API.example.com:8080/a?b=1", "api.example.com", "/a", Some("b=1")),
            ("https://x", "x", "/", None),
            ("x/a/../b", "x", "/b", None),
            ("/a", "", "/a", None),
            ("x?b", "x", "/", Some("b")),
        ];
        for (url, host, path, query) in cases {
            let target = Target::parse(url).unwrap();
            let found = (target.host.as_str(), target.path.as_str(), target.query.as_deref());
            assert_eq!(found, (host, path, query), "{url}");
        }
        assert!(Target::parse("http://a b/").is_err());
    }

    #[test]
    fn a_route_is_told_in_a_row_for_each_matcher() {
        let text = r#"
            [upstreams.a]
            servers = ["http://127.0.0.1:1"]
            [routes.x]
            match = ["GET,POST api.example.com/a", { path = "/b", header = { x-c = "1" }, query = { d = "2" } }]
            upstream = "a"
        "#;
        let loaded = edgewit_config::load_text("edgewit.toml", text, Path::new(".")).unwrap();
        let rows: Vec<_> = loaded.config.routes.values().map(Arc::as_ref).flat_map(rows).collect();
        assert_eq!(rows[0], ["x", "GET,POST api.example.com/a", "all", "", "a"]);
        assert_eq!(rows[1], ["", "/b x-c=1 ?d=2"]);
    }
}
