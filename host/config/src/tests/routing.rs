//! Conditions, rewrites, redirects, header edits and the other policies of routes: good values, bad values, defaults.

use std::time::Duration;

use edgewit_model::{
    Action, ByteSize, Compress, Encoding, OriginPattern, PathRewrite, Route, RouteName, SplitOn,
    Test,
};
use http::Method;

use super::*;

/// Route `r` with these keys beside an upstream `a`.
fn text(keys: &str) -> String {
    format!(
        "upstreams.a.servers = ['http://a']\nupstreams.b.servers = ['http://b']\n\
         routes.u = {{ match = '/u', upstreams = [{{ name = 'a' }}, {{ name = 'b' }}] }}\n[routes.r]\n{keys}"
    )
}

fn route(keys: &str) -> Route {
    let loaded = check(&text(keys)).unwrap_or_else(|report| panic!("{keys}\n{report}"));
    assert!(loaded.origin.warnings.is_empty(), "{keys}\n{}", loaded.origin.warnings);
    Route::clone(&loaded.config.routes[&RouteName::new("r").unwrap()])
}

/// Everything is said about line 5 or later, where the keys are.
fn check_wrong(cases: &[(&str, &str)]) {
    for (keys, expected) in cases {
        let found: Vec<String> = said(&text(keys))
            .into_iter()
            .map(|line| {
                let (code, rest) = line.split_once(' ').unwrap();
                format!("{code} {}", rest.split_once(": ").unwrap().1)
            })
            .collect();
        assert_eq!(found.join("|"), *expected, "{keys}");
    }
}

#[test]
fn conditions_are_exact_values_or_tests() {
    let route = route(
        "upstream = 'a'\nmatch = { path-regex = '/v[0-9]+/.*', client = ['10.0.0.0/8', '::1'], \
         header = { x-a = '1', x-b = { regex = '[a-z]+' } }, query = { q = { prefix = 'p' }, e = '2' }, \
         cookie = { c = 'v', d = { present = false } } }",
    );
    let matcher = &route.matchers[0];
    assert_eq!(matcher.path_regex.as_ref().unwrap().as_str(), "/v[0-9]+/.*");
    assert_eq!((matcher.headers.len(), matcher.query.len(), matcher.clients.len()), (1, 1, 2));
    let tests: Vec<&Test> = matcher.conditions.iter().map(|c| &c.test).collect();
    assert!(
        matches!(tests[..], [Test::Regex(_), Test::Prefix(_), Test::Exact(_), Test::Absent]),
        "{tests:?}"
    );
    check_wrong(&[
        (
            "upstream = 'a'\nmatch = { header = { x = { regex = '(' } } }",
            "E0305 this is no regular expression: unclosed group",
        ),
        (
            "upstream = 'a'\nmatch = { header = { x = { regex = 'a', prefix = 'b' } } }",
            "E0305 a test is exactly one of `regex`, `prefix` and `present`",
        ),
        (
            "upstream = 'a'\nmatch = { cookie = { x = {} } }",
            "E0305 a test is exactly one of `regex`, `prefix` and `present`",
        ),
        (
            "upstream = 'a'\nmatch = { query = { x = { prefix = '' } } }",
            "E0305 an empty prefix fits everything",
        ),
        (
            "upstream = 'a'\nmatch = { query = { x = { regx = 'a' } } }",
            "E0305 a test is exactly one of `regex`, `prefix` and `present`|E0102 unknown key `regx`",
        ),
        (
            "upstream = 'a'\nmatch = { client = ['10.0.0.0/33'] }",
            "E0305 `10.0.0.0/33` is no range of addresses",
        ),
        ("upstream = 'a'\nmatch = { client = [] }", "E0305 0 networks are too few or too many"),
        (
            "upstream = 'a'\nmatch = { path = '/a', path-regex = '/b' }",
            "E0302 a condition cannot have both `path` and `path-regex`",
        ),
        (
            "upstream = 'a'\nmatch = { path-regex = 'v1/.*' }",
            "E0302 this expression describes no path",
        ),
        (
            "upstream = 'a'\nmatch = { path-regex = '/(a{1000}){1000}' }",
            "E0305 this is no regular expression: the expression is too large",
        ),
    ]);
}

#[test]
fn the_new_conditions_tell_routes_apart() {
    for (a, b, expected) in [
        ("path-regex = '/a.*'", "path-regex = '/a.*'", Some("E0301")),
        ("path-regex = '/a.*'", "path-regex = '/a.+'", None),
        ("path-regex = '/a'", "path = '/a'", None),
        ("path-regex = '/.*'", "path = '/{*rest}'", None),
        ("cookie = { c = '1' }", "cookie = { c = '1' }", Some("E0301")),
        ("cookie = { c = '1' }", "cookie = { c = '2' }", None),
        ("cookie = { c = '1' }", "header = { c = '1' }", None),
        ("header = { h = { regex = 'x' } }", "header = { h = { regex = 'x' } }", Some("E0301")),
        ("header = { h = { regex = 'x' } }", "header = { h = { prefix = 'x' } }", None),
        ("header = { h = { present = true } }", "header = { h = { present = false } }", None),
        ("client = ['10.0.0.0/8']", "client = ['10.0.0.0/8']", Some("E0301")),
        ("client = ['10.0.0.0/8']", "client = ['11.0.0.0/8']", None),
        ("client = ['10.0.0.0/8']", "path = '/{*rest}'", None),
    ] {
        let found = said(&format!(
            "routes.a = {{ match = {{ {a} }}, respond = {{}} }}\nroutes.b = {{ match = {{ {b} }}, respond = {{}} }}"
        ));
        let codes: Vec<&str> = found.iter().map(|line| &line[..5]).collect();
        assert_eq!(codes, expected.into_iter().collect::<Vec<_>>(), "{a} {b}");
    }
}

#[test]
fn a_path_is_rewritten_in_one_way() {
    let rewrite = |keys: &str| {
        route(&format!("match = '/a/{{id}}/{{*rest}}'\nupstream = 'a'\n{keys}")).rewrite
    };
    let template = rewrite(
        "rewrite = { path = '/b/{id}/{rest}', host = 'b.test:81', query = 'id={id}&{query}' }",
    );
    assert!(
        matches!(&template.path, Some(PathRewrite::Template(t)) if t.as_str() == "/b/{id}/{rest}")
    );
    assert_eq!(template.host.unwrap().as_str(), "b.test:81");
    assert_eq!(template.query.unwrap().as_str(), "id={id}&{query}");
    assert!(!template.upstream_host);
    let prefix = rewrite("rewrite = { prefix = { from = '/a', to = '/' }, host = 'upstream' }");
    assert_eq!(prefix.path, Some(PathRewrite::Prefix { from: "/a".to_owned(), to: String::new() }));
    assert!(prefix.upstream_host && prefix.host.is_none());
    let regex = rewrite("rewrite.regex = { pattern = '/a/(?<id>.*)', replace = '/${id}/$1' }");
    assert!(matches!(regex.path, Some(PathRewrite::Regex { .. })));
    assert_eq!(rewrite(""), edgewit_model::Rewrite::default());
    let head = "match = '/a/{id}'\nupstream = 'a'\n";
    let cases = [
        ("path = '/b/{idd}'", "E0320 no value is named `idd` here"),
        (
            "path = '/b/{id'",
            "E0320 a `{` without its `}`, or the other way round; braces are written twice, `{{` and `}}`",
        ),
        ("path = '/b/{}'", "E0320 a placeholder looks like `{name}`"),
        ("path = '/b/{host}'", "E0320 no value is named `host` here"),
        ("path = 'b'", "E0308 `b` is no path in normal form"),
        ("path = '/b/../{id}'", "E0308 `/b/../{id}` is no path in normal form"),
        ("prefix = { from = '/a', to = '/b//c' }", "E0308 `/b//c` is no prefix of a path"),
        (
            "path = '/b', strip-prefix = '/a'",
            "E0308 a path is rewritten in one way, not by `strip-prefix` and `path`",
        ),
        ("prefix = { from = '/a/', to = '/b' }", "E0308 `/a/` is no prefix of a path"),
        ("prefix = { from = '/a', to = 'b' }", "E0308 `b` is no prefix of a path"),
        ("prefix = { from = '/a' }", "E0106 missing key `to`"),
        ("regex = { pattern = '/(.*)', replace = '/$2' }", "E0308 the expression has no group `2`"),
        (
            "regex = { pattern = '/(.*)', replace = '/$1a' }",
            "E0308 the expression has no group `1a`",
        ),
        (
            "regex = { pattern = '/(', replace = '/' }",
            "E0305 this is no regular expression: unclosed group",
        ),
        ("host = 'a b'", "E0308 `a b` is no host to send"),
        ("query = '?a=1'", "E0308 this is no query"),
        ("query = 'a={x}'", "E0320 no value is named `x` here"),
    ];
    for (keys, expected) in cases {
        check_wrong(&[(&format!("{head}rewrite = {{ {keys} }}"), expected)]);
    }
    // Only what every condition has can be used.
    check_wrong(&[(
        "match = ['/a/{id}', '/b/{name}']\nupstream = 'a'\nrewrite.path = '/{id}'",
        "E0320 no value is named `id` here",
    )]);
}

#[test]
fn a_location_is_on_a_host_that_the_file_names() {
    let head = "match = '/a/{*rest}'\n";
    let good = route(&format!("{head}redirect.location = 'https://{{host}}/b/{{rest}}?{{query}}'"));
    assert!(matches!(&good.action, Action::Redirect(r) if r.status == 307));
    for (location, expected) in [
        ("", "E0307 this is no location"),
        ("/b/{res}", "E0320 no value is named `res` here"),
        ("//{rest}", "E0307 a client could choose the host of this location"),
        ("https://{rest}/", "E0307 a client could choose the host of this location"),
        ("{rest}", "E0307 a client could choose the host of this location"),
    ] {
        check_wrong(&[(&format!("{head}redirect.location = '{location}'"), expected)]);
    }
    check_wrong(&[(
        "match = ['/{host}', '/b']\nredirect.location = 'https://{host}/'",
        "E0320 `{host}` is both a value of the request and of the path",
    )]);
}

#[test]
fn a_listener_that_redirects_has_no_tls() {
    let on = "listeners.a = { listen = '127.0.0.1:1', redirect-https = true }\n[routes.r]\nmatch = '/'\nrespond = {}";
    let loaded = check(on).unwrap();
    assert!(loaded.config.listeners.values().all(|listener| listener.redirect_https));
    let loaded = check(&on.replace("true", "false")).unwrap();
    assert!(loaded.config.listeners.values().all(|listener| !listener.redirect_https));
    let both =
        on.replace("redirect-https", "tls.files = { cert = 'a', key = 'b' }, redirect-https");
    assert!(
        said(&both).contains(&"E0503 1: a listener with TLS has nothing to redirect".to_owned())
    );
}

#[test]
fn header_edits_leave_framing_alone() {
    let head = "match = '/a/{id}'\nupstream = 'a'\n";
    let route = route(&format!(
        "{head}headers.request = {{ set = {{ x-id = '{{id}} {{client-address}}' }}, append = {{ x-b = '1' }}, remove = ['x-c'] }}\n\
         headers.response.set = {{ strict-transport-security = 'max-age=63072000' }}"
    ));
    let edits = &route.headers;
    assert_eq!(
        (edits.request.set.len(), edits.request.append.len(), edits.request.remove.len()),
        (1, 1, 1)
    );
    assert_eq!(edits.response.set.len(), 1);
    for (keys, expected) in [
        ("request.set = { 'a b' = '1' }", "E0321 `a b` is no name of a header field"),
        ("request.set = { Host = '1' }", "E0321 `Host` is the host's business"),
        ("request.remove = ['Content-Length']", "E0321 `Content-Length` is the host's business"),
        ("request.set = { expect = '100-continue' }", "E0321 `expect` is the host's business"),
        ("response.append = { connection = 'x' }", "E0321 `connection` is the host's business"),
        ("response.set = { upgrade = 'x' }", "E0321 `upgrade` is the host's business"),
        ("response.set = { x = \"a\\nb\" }", "E0321 this is no value of a header field, `x`"),
        ("response.set = { x = '{nobody}' }", "E0320 no value is named `nobody` here"),
        ("respond.set = { x = '1' }", "E0102 unknown key `respond`"),
    ] {
        check_wrong(&[(&format!("{head}headers.{keys}"), expected)]);
    }
}

#[test]
fn permissions_for_other_origins_are_checked() {
    let head = "match = '/'\nupstream = 'a'\n";
    let least = route(&format!("{head}cors.origins = ['https://a.test']")).cors.unwrap();
    assert_eq!(least.methods, Some(vec![Method::GET, Method::HEAD, Method::POST]));
    assert_eq!((least.headers, least.expose), (Some(vec![]), Some(vec![])));
    assert_eq!((least.credentials, least.max_age), (false, Duration::from_secs(600)));
    let most = route(&format!(
        "{head}cors = {{ origins = ['*', 'https://*.a.test:8443', 'null'], methods = ['*'], headers = ['x-a', '*'], expose = ['x-b'], max-age = '1h' }}"
    ));
    let most = most.cors.unwrap();
    assert_eq!(most.origins[0], OriginPattern::Any);
    assert!(most.origins[1].contains("https://x.a.test:8443"));
    assert_eq!((most.methods, most.headers), (None, None));
    for (keys, expected) in [
        ("origins = []", "E0322 `cors` needs at least one origin"),
        ("methods = ['GET']", "E0322 `cors` needs at least one origin"),
        ("origins = ['a.test']", "E0322 `a.test` is no origin"),
        ("origins = ['https://a.test/']", "E0322 `https://a.test/` is no origin"),
        ("origins = ['https://A.test']", "E0322 `https://A.test` is no origin"),
        ("origins = ['https://a.test:443']", "E0322 `https://a.test:443` is no origin"),
        ("origins = ['https://*a.test']", "E0322 `https://*a.test` is no origin"),
        ("origins = ['https://a.*.test']", "E0322 `https://a.*.test` is no origin"),
        ("origins = ['*'], credentials = true", "E0322 `*` cannot stand beside `credentials`"),
        (
            "origins = ['null'], credentials = true",
            "E0322 `null` cannot stand beside `credentials`",
        ),
        (
            "origins = ['https://a.test'], headers = ['*'], credentials = true",
            "E0322 `*` cannot stand beside `credentials`",
        ),
        ("origins = ['https://a.test'], methods = ['get']", "E0322 `get` is no method"),
        (
            "origins = ['https://a.test'], expose = ['a b']",
            "E0322 `a b` is no name of a header field",
        ),
    ] {
        check_wrong(&[(&format!("{head}cors = {{ {keys} }}"), expected)]);
    }
}

#[test]
fn faults_compression_copies_and_splits_are_checked() {
    let head = "match = '/'\nupstream = 'a'\n";
    let plain = route(head);
    assert_eq!((plain.fault, plain.compress, plain.mirror), (None, None, None));
    assert_eq!((plain.split_on, plain.stall), (None, None));
    let all = route(&format!(
        "{head}fault = {{ delay = {{ time = '100ms', share = '10%' }}, abort = {{ status = 503 }} }}\n\
         compress = {{ encodings = ['gzip', 'br'], min-size = '2KiB', types = ['Text/*'] }}\n\
         mirror = {{ upstream = 'b', sample = '10%', body = '1KiB' }}\nstall-timeout = '5s'"
    ));
    let fault = all.fault.unwrap();
    assert_eq!(fault.delay, Some((Duration::from_millis(100), 10)));
    assert_eq!(fault.abort.map(|(status, share)| (status.as_u16(), share)), Some((503, 100)));
    let compress = all.compress.unwrap();
    assert_eq!(compress.encodings, [Encoding::Gzip, Encoding::Brotli]);
    assert_eq!((compress.min_size, compress.types), (ByteSize(2048), vec!["text/*".to_owned()]));
    let mirror = all.mirror.unwrap();
    assert_eq!((mirror.upstream.as_str(), mirror.percent, mirror.body), ("b", 10, ByteSize(1024)));
    assert_eq!(all.stall, Some(Duration::from_secs(5)));
    let least = route(&format!("{head}mirror.upstream = 'b'")).mirror.unwrap();
    assert_eq!((least.percent, least.body), (100, ByteSize(64 << 10)));
    assert_eq!(route(&format!("{head}compress = true")).compress, Some(Compress::default()));
    assert_eq!(route(&format!("{head}compress = false")).compress, None);
    let two = "match = '/'\nupstreams = [{ name = 'a' }, { name = 'b' }]\n";
    for (text, expected) in [
        ("client", SplitOn::Client),
        ("cookie:sid", SplitOn::Cookie("sid".to_owned())),
        ("header:X-User", SplitOn::Header("x-user".parse().unwrap())),
    ] {
        assert_eq!(route(&format!("{two}split-on = '{text}'")).split_on, Some(expected));
    }
    for (keys, expected) in [
        ("fault = {}", "E0106 `fault` needs `delay` or `abort`"),
        ("fault.delay.share = '1%'", "E0106 `delay` lacks `time`"),
        ("fault.delay = { time = '1s', share = 10 }", "E0103 a share needs a unit; use %"),
        ("fault.abort.status = 200", "E0105 a status here is 400 to 599, not 200"),
        ("compress = 'gzip'", "E0104 expected a boolean or a table, found string \"gzip\""),
        ("compress.encodings = ['gzp']", "E0105 `gzp` is no encoding; use zstd, br or gzip"),
        ("compress.encodings = []", "E0105 a route compresses with at least one"),
        ("compress.encodings = ['br', 'br']", "E0105 `br` is listed twice"),
        ("compress.types = ['text']", "E0105 `text` is no media type"),
        ("compress.types = ['*/*+*']", "E0105 `*/*+*` is no media type"),
        ("compress.min-size = 100", "E0103 a size needs a unit; use B, KiB, MiB or GiB"),
        ("mirror.upstream = 'c'", "E0202 no upstream named `c`"),
        ("mirror = {}", "E0106 `mirror` lacks `upstream`"),
        (
            "mirror = { upstream = 'b', body = '17MiB' }",
            "E0105 a copy holds at most 16MiB of a body",
        ),
        ("split-on = 'client'", "W0302 `split-on` has no effect without `upstreams`"),
        ("stall-timeout = '0s'", "E0105 a duration here is `1ms` to `8760h`"),
    ] {
        check_wrong(&[(&format!("{head}{keys}"), expected)]);
    }
    check_wrong(&[
        (&format!("{two}split-on = 'ip'"), "E0105 `ip` is nothing to split on"),
        (&format!("{two}split-on = 'cookie:'"), "E0105 `cookie:` is nothing to split on"),
        (
            "match = '/'\nrespond = {}\nmirror.upstream = 'b'",
            "W0302 `mirror` has no effect without an upstream",
        ),
    ]);
}
