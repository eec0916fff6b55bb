use edgewit_model::{Action, Condition, Part, Redirect, Test};
use http::StatusCode;

use super::*;

/// A matcher from `[METHODS] [host]/path [name:value]... [name=value]...`.
fn matcher(text: &str) -> Matcher {
    let mut matcher = Matcher { path: String::new(), ..Matcher::default() };
    for word in text.split(' ') {
        if let Some((host, path)) = word.split_once('/') {
            matcher.path = format!("/{path}");
            matcher.host = match host {
                "" => None,
                h => Some(match h.strip_prefix('*') {
                    Some(suffix) => HostPattern::Wildcard(suffix.to_owned()),
                    None => HostPattern::Exact(h.to_owned()),
                }),
            };
        } else if let Some((name, value)) = word.split_once(':') {
            let (name, value) = (name.parse().unwrap(), value.parse().unwrap());
            matcher.headers.push(HeaderRule { name, value });
        } else if let Some((name, value)) = word.split_once('=') {
            matcher.query.push((name.to_owned(), value.to_owned()));
        } else {
            matcher.methods.extend(word.split(',').map(|m| m.parse::<Method>().unwrap()));
        }
    }
    matcher
}

fn route(name: &str, matchers: &[&str]) -> Route {
    let action = Action::Redirect(Redirect {
        status: StatusCode::FOUND,
        location: edgewit_model::Template::new("/").unwrap(),
    });
    let matchers = matchers.iter().map(|m| matcher(m)).collect();
    Route { matchers, ..Route::new(RouteName::new(name).unwrap(), action) }
}

/// `METHOD host/path[?query] [name:value]...`
fn ask<T>(text: &str, run: impl FnOnce(&Ask<'_>) -> T) -> T {
    let mut words = text.split(' ');
    let method: Method = words.next().unwrap().parse().unwrap();
    let (host, target) = words.next().unwrap().split_once('/').unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let path = NormalizedPath::new(&format!("/{path}")).unwrap();
    let mut fields = HeaderMap::new();
    for field in words {
        let (name, value) = field.split_once(':').unwrap();
        fields.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    let fields = &fields;
    run(&Ask { listener: None, method: &method, host, path: &path, query, fields, client: None })
}

fn find(table: &RouteTable, routes: &[Route], text: &str) -> String {
    match ask(text, |ask| table.find(ask)) {
        Found::Route(route, _) => routes[route].name.to_string(),
        Found::OtherMethods(allow) => format!("405 {}", allow.to_str().unwrap()),
        Found::Nothing => "404".to_owned(),
    }
}

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    let mut routes = vec![
        route("all", &["/{*rest}"]),
        route("host", &["api.example.com/{*rest}"]),
        route("wild", &["*.example.com/{*rest}"]),
        route("wilder", &["*.eu.example.com/{*rest}"]),
        route("order", &["api.example.com/orders/{id}"]),
        route("new-order", &["api.example.com/orders/new"]),
        route("post-order", &["POST api.example.com/orders/{order}"]),
        route("canary", &["api.example.com/orders/{id} x-canary:1"]),
        route("canary-v2", &["GET api.example.com/orders/{id} x-canary:1 v=2"]),
        route("files", &["GET files.test/f/{*rest}"]),
        route("put-files", &["PUT,DELETE files.test/f/{*rest}", "PUT files.test/g"]),
        route("folder", &["files.test/f/"]),
        route("archive", &["files.test/f/{name}.tar.gz"]),
    ];
    let cases = [
        ("GET elsewhere/", "all"),
        ("GET elsewhere/x/y", "all"),
        ("GET api.example.com/x", "host"),
        ("GET a.example.com/x", "wild"),
        ("GET a.eu.example.com/x", "wilder"),
        ("GET a.b.eu.example.com/x", "wilder"),
        ("GET example.com/x", "all"),
        ("GET notexample.com/x", "all"),
        ("GET api.example.com/orders/1", "order"),
        ("GET api.example.com/orders/new", "new-order"),
        ("GET api.example.com/orders/", "host"),
        ("GET api.example.com/orders/1/2", "host"),
        ("POST api.example.com/orders/1", "post-order"),
        ("POST api.example.com/orders/1 x-canary:1", "canary"),
        ("GET api.example.com/orders/1 x-canary:2 x-canary:1", "canary"),
        ("GET api.example.com/orders/1?a&v=2 x-canary:1", "canary-v2"),
        ("HEAD api.example.com/orders/1?v=2 x-canary:1", "canary-v2"),
        ("GET api.example.com/orders/1?v=22 x-canary:1", "canary"),
        ("GET files.test/f/a", "files"),
        ("HEAD files.test/f/a/b", "files"),
        ("DELETE files.test/f/a", "put-files"),
        ("GET files.test/f/", "folder"),
        ("GET files.test/f/x.tar.gz", "archive"),
        ("POST files.test/f/a", "all"),
    ];
    for _ in 0..routes.len() {
        let table = RouteTable::new(&routes).unwrap();
        for (request, expected) in cases {
            assert_eq!(find(&table, &routes, request), expected, "{request}");
        }
        routes.rotate_left(1);
    }
}

#[test]
fn a_missing_method_is_told_apart_from_a_missing_route() {
    let routes = [
        route("read", &["GET a/x/{*rest}"]),
        route("write", &["PUT,POST a/x/{id}"]),
        route("canary", &["DELETE a/x/{id} x-canary:1"]),
    ];
    let table = RouteTable::new(&routes).unwrap();
    let cases = [
        ("PATCH a/x/1", "405 GET, HEAD, POST, PUT"),
        ("PATCH a/x/", "405 GET, HEAD"),
        ("DELETE a/x/1", "405 GET, HEAD, POST, PUT"),
        ("DELETE a/x/1 x-canary:1", "canary"),
        ("GET a/y", "404"),
        ("GET a/x", "404"),
        ("GET b/x/1", "404"),
    ];
    for (request, expected) in cases {
        assert_eq!(find(&table, &routes, request), expected, "{request}");
    }
}

#[test]
fn a_route_is_reachable_on_its_listeners_only() {
    let mut inner = route("inner", &["/x"]);
    inner.listeners = vec![ListenerName::new("in").unwrap()];
    let table = RouteTable::new(&[inner]).unwrap();
    for (listener, expected) in [("in", Found::Route(0, 0)), ("out", Found::Nothing)] {
        let listener = ListenerName::new(listener).unwrap();
        let found = ask("GET a/x", |ask| table.find(&Ask { listener: Some(&listener), ..*ask }));
        assert_eq!(found, expected);
    }
}

#[test]
fn paths_that_matchit_does_not_hold_together_are_searched_all_the_same() {
    let routes = [
        route("id", &["/{id}"]),
        route("rest", &["/{*rest}"]),
        route("suffix", &["/{name}.json"]),
        route("tenant", &["/{tenant}/orders"]),
    ];
    let table = RouteTable::new(&routes).unwrap();
    for (request, expected) in [
        ("GET a/1", "id"),
        ("GET a/", "rest"),
        ("GET a/1/2", "rest"),
        ("GET a/x.json", "suffix"),
        ("GET a/t/orders", "tenant"),
    ] {
        assert_eq!(find(&table, &routes, request), expected, "{request}");
    }
}

#[test]
fn what_is_no_pattern_is_refused_by_name() {
    let error = RouteTable::new(&[route("bad", &["/a/{"])]).unwrap_err();
    assert_eq!((error.route.as_str(), error.path.as_str()), ("bad", "/a/{"));
}

/// The table agrees with a search that tries every matcher by itself.
#[test]
fn the_table_finds_what_a_plain_search_finds() {
    let segments = ["a", "b", "{p}", "{p}.x", "c.x"];
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..300 {
        let mut texts = Vec::new();
        for _ in 0..random(8) + 1 {
            let mut path = String::new();
            for _ in 0..random(3) + 1 {
                path.push('/');
                path.push_str(segments[random(segments.len())]);
            }
            path.push_str(["", "/", "/{*rest}"][random(3)]);
            let methods = ["", "GET ", "PUT "][random(3)];
            texts.push(format!("{methods}{}{path}", ["", "h.t", "*.t"][random(3)]));
        }
        texts.sort();
        texts.dedup();
        let routes: Vec<Route> =
            texts.iter().enumerate().map(|(n, t)| route(&format!("r{n:02}"), &[t])).collect();
        let table = RouteTable::new(&routes).unwrap();
        for _ in 0..20 {
            let mut path = String::new();
            for _ in 0..random(4) + 1 {
                path.push('/');
                path.push_str(["a", "b", "c.x", "d", ""][random(5)]);
            }
            let request = format!("GET h.t{path}");
            let expected = plain(&routes, &request);
            let found = ask(&request, |ask| match table.find(ask) {
                Found::Route(route, _) => Some(routes[route].name.clone()),
                _ => None,
            });
            assert_eq!(found, expected, "{request} in {texts:?}");
        }
    }
}

fn plain(routes: &[Route], request: &str) -> Option<RouteName> {
    ask(request, |ask| {
        let fits = |route: &&Route| {
            let alone = RouteTable::new([*route]).unwrap();
            matches!(alone.find(ask), Found::Route(..))
        };
        let key = |route: &&Route| {
            let m = &route.matchers[0];
            let host = match &m.host {
                Some(HostPattern::Exact(_)) => 0,
                Some(HostPattern::Wildcard(_)) => 1,
                None => 2,
            };
            let pattern = Pattern::all(&m.path).pop().unwrap();
            (host, pattern, m.methods.is_empty(), route.name.clone())
        };
        let mut fitting: Vec<&Route> = routes.iter().filter(fits).collect();
        fitting.sort_by_key(key);
        fitting.first().map(|route| route.name.clone())
    })
}

#[test]
fn a_dry_run_says_what_became_of_each_route() {
    let routes = [
        route("order", &["a/orders/{id}"]),
        route("canary", &["a/orders/{id} x-canary:1"]),
        route("v2", &["a/orders/{id} v=2"]),
        route("write", &["POST a/orders/{id}"]),
        route("all", &["/{*rest}"]),
        route("else", &["a/else"]),
        route("b", &["b/orders/{id}"]),
    ];
    let table = RouteTable::new(&routes).unwrap();
    let told = ask("GET a/orders/1", |ask| table.explain(ask));
    let told: Vec<(&str, &str, &Why)> =
        told.iter().map(|c| (c.route.as_str(), c.pattern.as_str(), &c.why)).collect();
    let canary = Why::Header("x-canary".parse().unwrap());
    assert_eq!(
        told,
        [
            ("canary", "a/orders/{id}", &canary),
            ("v2", "a/orders/{id}", &Why::Query("v".to_owned())),
            ("write", "a/orders/{id}", &Why::Method),
            ("order", "a/orders/{id}", &Why::Wins),
            ("else", "a/else", &Why::Path),
            ("all", "/{*rest}", &Why::LessSpecific),
            ("b", "b/orders/{id}", &Why::Host),
        ]
    );
}

fn test(part: Part, test: Test) -> Condition {
    Condition { part, test }
}

fn regex(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

#[test]
fn conditions_look_at_fields_parameters_and_cookies() {
    let header = || Part::Header("x-v".parse().unwrap());
    let query = || Part::Query("q".to_owned());
    let cookie = || Part::Cookie("c".to_owned());
    let cases = [
        (test(header(), Test::Prefix("ab".to_owned())), "x-v:abc", "x-v:xab"),
        (test(header(), Test::Regex(regex("[0-9]+"))), "x-v:12", "x-v:12a"),
        (test(header(), Test::Present), "x-v:1", ""),
        (test(header(), Test::Absent), "", "x-v:1"),
        (test(cookie(), Test::Exact("1".to_owned())), "cookie:b=2;c=1", "cookie:b=1;c=2"),
        (test(cookie(), Test::Absent), "cookie:b=1", "cookie:c="),
    ];
    for (condition, fits, fails) in cases {
        let shown = format!("{condition:?}");
        let mut own = route("own", &["/{*rest}"]);
        own.matchers[0].conditions.push(condition);
        let routes = [own];
        let table = RouteTable::new(&routes).unwrap();
        let find = |fields: &str| find(&table, &routes, format!("GET a/x {fields}").trim());
        assert_eq!(find(fits), "own", "{shown}");
        assert_eq!(find(fails), "404", "{shown}");
    }
    for (check, fits, fails) in [
        (Test::Regex(regex("[a-z]+")), "?p=1&q=abc", "?q=1"),
        (Test::Prefix("a".to_owned()), "?q=b&q=ab", "?p=a"),
        (Test::Present, "?q", "?p"),
    ] {
        let mut own = route("own", &["/{*rest}"]);
        own.matchers[0].conditions.push(test(query(), check));
        let routes = [own];
        let table = RouteTable::new(&routes).unwrap();
        assert_eq!(find(&table, &routes, &format!("GET a/x{fits}")), "own");
        assert_eq!(find(&table, &routes, &format!("GET a/x{fails}")), "404");
    }
}

#[test]
fn clients_are_told_apart_by_their_network() {
    let mut office = route("office", &["/{*rest}"]);
    office.matchers[0].clients = vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
    let routes = [office, route("world", &["/{*rest}"])];
    let table = RouteTable::new(&routes).unwrap();
    for (client, expected) in [
        ("10.1.2.3", "office"),
        ("::1", "office"),
        ("::ffff:10.0.0.1", "office"),
        ("11.0.0.1", "world"),
    ] {
        let client: IpAddr = client.parse().unwrap();
        let found = ask("GET a/", |ask| table.find(&Ask { client: Some(client), ..*ask }));
        let Found::Route(index, _) = found else { panic!("{client}") };
        assert_eq!(routes[index].name.as_str(), expected, "{client}");
    }
}

#[test]
fn an_expression_stands_between_whole_patterns_and_open_ends() {
    let described = |name: &str, text: &str| {
        let mut route = route(name, &["/{*rest}"]);
        route.matchers[0].path_regex = Some(regex(text));
        route
    };
    let mut get_only = described("get", "/o/[0-9]{3}");
    get_only.matchers[0].methods = vec![Method::GET];
    let mut routes = vec![
        route("all", &["/{*rest}"]),
        route("open", &["/v1/{*rest}"]),
        route("one", &["/v1/{id}"]),
        route("text", &["/v1/a"]),
        described("digits", "/v[0-9]+/.*"),
        described("longer", "/v[0-9]+/x/[a-z]+.*"),
        described("other", "/v[0-9]+/y?"),
        get_only,
        route("elsewhere", &["b.test/v1/{*rest}"]),
    ];
    let cases = [
        ("GET a/v1/a", "text"),
        ("GET a/v1/b", "one"),
        ("GET a/v1/b/c", "digits"),
        ("GET a/v1/x/yy", "longer"),
        ("GET a/v1/x/1", "digits"),
        ("GET a/v2", "all"),
        ("GET a/v2/", "digits"),
        ("GET a/o/123", "get"),
        ("PUT a/o/123", "all"),
        ("GET b.test/v1/b/c", "elsewhere"),
        ("GET b.test/v2/b", "digits"),
    ];
    for _ in 0..routes.len() {
        let table = RouteTable::new(&routes).unwrap();
        for (text, expected) in cases {
            assert_eq!(find(&table, &routes, text), expected, "{text}");
            let explained = ask(text, |ask| table.explain(ask));
            let winner = explained.iter().find(|c| c.why == Why::Wins).unwrap();
            assert_eq!(winner.route.as_str(), expected, "explained {text}");
        }
        routes.rotate_left(1);
    }
    let table = RouteTable::new(&[described("alone", "/v[0-9]+")]).unwrap();
    let explained = ask("GET a/w", |ask| table.explain(ask));
    assert_eq!((explained[0].pattern.as_str(), &explained[0].why), ("regex /v[0-9]+", &Why::Path));
}

/// Whatever patterns stand together, the table finds what looking at each of them alone finds.
#[test]
fn the_table_agrees_with_a_search_one_by_one() {
    const SEGMENTS: [&str; 5] = ["a", "b", "{x}", "{x}.c", "p-{x}"];
    const WORDS: [&str; 6] = ["a", "b", "z", "q.c", "p-q", "p-q.c"];
    let mut seed = 1_u64;
    let mut draw = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % most
    };
    for _ in 0..300 {
        let mut routes: Vec<Route> = Vec::new();
        for number in 0..=draw(8) {
            let mut path = String::new();
            for _ in 0..draw(4) {
                path += &format!("/{}", SEGMENTS[draw(SEGMENTS.len())]);
            }
            path += ["/{*rest}", "", "/"][if path.is_empty() { draw(2) * 2 } else { draw(3) }];
            let same = |own: &Route| Pattern::all(&own.matchers[0].path) == Pattern::all(&path);
            if !routes.iter().any(same) {
                routes.push(route(&format!("r{number}"), &[&path]));
            }
        }
        let table = RouteTable::new(&routes).unwrap();
        let mut alone: Vec<(Pattern, &str)> = routes
            .iter()
            .flat_map(|own| {
                Pattern::all(&own.matchers[0].path).into_iter().map(|p| (p, own.name.as_str()))
            })
            .collect();
        alone.sort_by(|(a, one), (b, two)| a.cmp(b).then(one.cmp(two)));
        for _ in 0..20 {
            let mut path = String::new();
            for _ in 0..draw(4) {
                path += &format!("/{}", WORDS[draw(WORDS.len())]);
            }
            if path.is_empty() || draw(4) == 0 {
                path.push('/');
            }
            let expected = alone.iter().find(|(pattern, _)| pattern.matches(&path));
            let expected = expected.map_or("404", |(_, name)| name);
            let paths: Vec<&str> = routes.iter().map(|own| own.matchers[0].path.as_str()).collect();
            assert_eq!(
                find(&table, &routes, &format!("GET h{path}")),
                expected,
                "{path} {paths:?}"
            );
        }
    }
}
