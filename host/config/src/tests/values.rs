//! What single keys may hold: a text, and what is said about it.

use super::*;

/// Every text gets a route, so that only the point in question is said.
fn check_all(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let text = format!("{text}\n[routes.ok]\nmatch = 'ok.test/'\nrespond = {{}}\n");
        assert_eq!(said(&text), *expected, "{text}");
    }
}

#[test]
fn names_are_labels() {
    check_all(&[
        ("[routes.A]\nmatch = '/'\nrespond = {}", &["E0107 1: `A` cannot be a name"]),
        (
            "[plugins.'a/b']\nfoo = 1",
            &["E0107 1: `a/b` cannot be a name", "E0102 2: unknown key `foo`"],
        ),
    ]);
}

#[test]
fn single_values_are_checked() {
    check_all(&[
        ("version = 1", &[]),
        ("version = 2", &["E0112 1: version `2` is not known; this is 1"]),
        ("version = '1'", &["E0104 1: expected a whole number, found string \"1\""]),
        ("include = 'a.toml'", &["E0104 1: expected a list, found string \"a.toml\""]),
        ("server = 1", &["E0104 1: expected a table, found integer `1`"]),
        (
            "[server]\nworkers = -1\ndrain-delay = '0s'",
            &["E0105 2: expected a whole number from 0, found integer `-1`"],
        ),
        ("[server]\nworkers = 9999", &["E0105 2: a number here is 0 to 1024, not 9999"]),
        ("[server]\nplugin-dir = ''", &["E0105 2: this is no path"]),
        ("admin.listen = 'off'", &[]),
        ("admin.listen = '[::1]:1'", &[]),
        ("admin.listen = 'localhost:1'", &["E0105 1: `localhost:1` is no address with a port"]),
        ("limits.time = '0s'", &["E0105 1: a duration here is `1ms` to `8760h`"]),
        ("limits.memory = '2000GiB'", &["E0105 1: a size here is `1B` to `1024GiB`"]),
        ("limits.fuel = 0", &["E0105 1: a number here is 1 to 1000000000000000, not 0"]),
        ("telemetry.access-log = 'off'", &[]),
        ("telemetry.access-log = 'on'", &["E0105 1: `on` is neither `off` nor a table"]),
        ("telemetry.log = { level = 'info,edgewit_wasm=debug', format = 'json' }", &[]),
        (
            "telemetry.log.level = 'inof'",
            &["E0105 1: `inof` is no level; use off, error, warn, info, debug, trace"],
        ),
        (
            "telemetry.log.format = 'jsno'",
            &["E0105 1: unknown value `jsno`; use `auto`, `text` or `json`"],
        ),
    ]);
}

#[test]
fn listeners_are_checked() {
    check_all(&[
        ("[listeners.a]\nlisten = '127.0.0.1:0'\nprotocols = ['h1', 'h2c']", &[]),
        ("[listeners.a]", &["E0106 1: listener `a` lacks `listen`"]),
        ("listeners.a.listen = ':80'", &["E0105 1: `:80` is no address with a port"]),
        ("listeners.a = { listen = '[::]:80', protocols = ['h2'] }", &["E0503 1: `h2` needs TLS"]),
        (
            "listeners.a = { listen = '[::]:80', protocols = ['h3'] }",
            &["E0105 1: unknown value `h3`; use `h1`, `h2` or `h2c`"],
        ),
        (
            "listeners.a = { listen = '[::]:80', protocols = [] }",
            &["E0105 1: a listener speaks at least one protocol"],
        ),
        (
            "listeners.a = { listen = '[::]:80', trusted-proxies = ['10.0.0.0/33'] }",
            &["E0105 1: `10.0.0.0/33` is no range of addresses"],
        ),
        (
            "listeners.a = { listen = '[::]:80', headers-with-underscores = 'drop', limits = { body-rate = '0B', control-frames = 50, requests-per-client = 10, connection-memory = '64KiB' } }",
            &[],
        ),
        (
            "listeners.a = { listen = '[::]:80', headers-with-underscores = 'keep' }",
            &["E0105 1: unknown value `keep`; use `refuse`, `drop` or `allow`"],
        ),
        (
            "listeners.a = { listen = '[::]:80', limits.body-rate = '5GiB' }",
            &["E0105 1: a rate here is `0B` to `4294967295B` a second"],
        ),
        (
            "listeners.a = { listen = '[::]:80', limits.control-frames = 0 }",
            &["E0105 1: a number here is 1 to 1000000, not 0"],
        ),
        (
            "listeners.a = { listen = '[::]:80', limits.requests-per-client = 0 }",
            &["E0105 1: a number here is 1 to 10000000, not 0"],
        ),
        (
            "listeners.a = { listen = '[::]:80', limits.connection-memory = '0B' }",
            &["E0105 1: a size here is `1B` to `1024GiB`"],
        ),
        (
            "listeners.a = { listen = '[::]:80', tls.min-version = '1.3' }",
            &["E0106 1: `tls` lacks `files`"],
        ),
        (
            "listeners.a = { listen = '[::]:80', tls.files.cert = 'a' }",
            &["E0106 1: missing key `key`"],
        ),
        ("listeners.a = { listen = '[::]:80', tls.files = [] }", &["E0106 1: `tls` lacks `files`"]),
        (
            "listeners.a = { listen = '[::]:80', tls.files = 'a.pem' }",
            &["E0104 1: expected a table or a list of tables, found string \"a.pem\""],
        ),
        (
            "listeners.a = { listen = '[::]:80', tls.files = [{ cert = 'a', keey = 'b' }] }",
            &["E0106 1: missing key `key`", "E0102 1: unknown key `keey`"],
        ),
        (
            "listeners.a = { listen = '[::]:80', tls.files = [['a', 'b']] }",
            &["E0106 1: `tls` lacks `files`", "E0104 1: expected a table, found a list"],
        ),
        (
            "listeners.a.listen = '[::]:80'\nlisteners.b.listen = '[::]:80'",
            &["E0113 2: `b` and `a` both want [::]:80"],
        ),
        (
            "listeners.a.listen = '127.0.0.1:9977'",
            &["E0113 1: `a` and administration both want 127.0.0.1:9977"],
        ),
    ]);
}

#[test]
fn clients_of_listeners_are_checked() {
    let files = "tls.files = { cert = 'a', key = 'b' }";
    let auth = |text: &str| {
        format!("listeners.a = {{ listen = '[::]:80', {files}, tls.client-auth = {text} }}")
    };
    let (unread_a, unread_b) =
        ("E0501 1: cannot read `/nonexistent/a`", "E0502 1: cannot read `/nonexistent/b`");
    check_all(&[
        (&auth("{ mode = 'require' }"), &[unread_a, unread_b, "E0106 1: missing key `ca`"]),
        (
            &auth("{ ca = 'c', mode = 'maybe' }"),
            &[
                unread_a,
                unread_b,
                "E0501 1: cannot read `/nonexistent/c`",
                "E0105 1: unknown value `maybe`; use `require` or `request`",
            ],
        ),
        (
            &auth("{ ca = 'c', crl = 'd' }"),
            &[
                unread_a,
                unread_b,
                "E0501 1: cannot read `/nonexistent/c`",
                "E0501 1: cannot read `/nonexistent/d`",
            ],
        ),
        (
            "listeners.a = { listen = '[::]:80', proxy-protocol = true }",
            &["E0106 1: `proxy-protocol` needs `trusted-proxies`"],
        ),
        (
            "listeners.a = { listen = '[::]:80', proxy-protocol = true, trusted-proxies = [] }",
            &["E0106 1: `proxy-protocol` needs `trusted-proxies`"],
        ),
        (
            "listeners.a = { listen = '[::]:80', proxy-protocol = true, trusted-proxies = ['x'] }",
            &["E0105 1: `x` is no range of addresses"],
        ),
        ("listeners.a = { listen = '[::]:80', proxy-protocol = false }", &[]),
        (
            "listeners.a = { listen = '[::]:80', limits.connections-per-client = 0 }",
            &["E0105 1: a number here is 1 to 10000000, not 0"],
        ),
        (
            "listeners.a = { listen = '[::]:80', limits.handshake-timeout = '0s' }",
            &["E0105 1: a duration here is `1ms` to `8760h`"],
        ),
    ]);
}

#[test]
fn inherited_sockets_have_names() {
    check_all(&[
        ("listeners.a.listen = 'fd:web'", &[]),
        ("listeners.a.listen = 'fd:'", &["E0105 1: `` is no name of a socket"]),
        ("listeners.a.listen = 'fd:a:b'", &["E0105 1: `a:b` is no name of a socket"]),
        ("listeners.a.listen = 'fd:a b'", &["E0105 1: `a b` is no name of a socket"]),
        (
            "listeners.a.listen = 'fd:web'\nlisteners.b.listen = 'fd:web'",
            &["E0113 2: `b` and `a` both want fd:web"],
        ),
        ("listeners.a.listen = 'fd:a'\nlisteners.b.listen = 'fd:b'", &[]),
    ]);
}

#[test]
fn plugins_are_checked() {
    check_all(&[
        ("plugins.a = { isolation = 'worker', on-error = 'skip-even-auth' }", &[]),
        ("plugins.a = { isolation = { worker = { recycle = 16 } } }", &[]),
        (
            "plugins.a.isolation = { worker = { recycle = 0 } }",
            &["E0105 1: a number here is 1 to 4294967295, not 0"],
        ),
        (
            "plugins.a.isolation = 'workr'",
            &["E0105 1: unknown value `workr`; use `request` or `worker`"],
        ),
        ("plugins.a.namespace = 'plugin'", &[]),
        ("plugins.a.namespace = 'route'", &[]),
        (
            "plugins.a.namespace = 'rout'",
            &["E0105 1: unknown value `rout`; use `plugin` or `route`"],
        ),
        ("plugins.a.isolation = {}", &["E0106 1: missing key `worker`"]),
        ("plugins.a.isolation = 5", &["E0104 1: expected a string or a table, found integer `5`"]),
        ("plugins.a.allow = ['kv']", &["E0104 1: expected a table, found a list"]),
        (
            "plugins.a.allow = { kv = 'yes', rate = true }",
            &["E0104 1: expected a boolean, found string \"yes\""],
        ),
        (
            "[plugins.a.config]\nd = 2020-01-01\ne = [{ f = 10:00:00 }]\ng = nan",
            &[
                "E0105 2: filters get JSON, which has no dates; write it as a string",
                "E0105 3: filters get JSON, which has no dates; write it as a string",
                "E0105 4: filters get JSON, which has no `inf` and `nan`; write it as a string",
            ],
        ),
    ]);
}

#[test]
fn upstreams_are_checked() {
    let with = |keys: &str| {
        let text = format!("upstreams.a = {{ {keys} }}");
        format!("{text}\n[routes.u]\nmatch = '/'\nupstream = 'a'")
    };
    for (keys, expected) in [
        ("servers = ['http://a', { url = 'http://b:81', weight = 3 }], h2c = true", ""),
        ("", "E0602 1: upstream `a` has no servers"),
        ("servers = []", "E0602 1: upstream `a` has no servers"),
        ("servers = ['a:80']", "E0601 1: `a:80` is no server"),
        ("servers = [{ weight = 3 }, 'http://a']", "E0106 1: missing key `url`"),
        (
            "servers = [{ url = 'http://a', weight = 0 }]",
            "E0603 1: a server's weight is 1 to 65535, not 0",
        ),
        (
            "servers = ['https://a'], h2c = true",
            "E0604 1: `h2c` is HTTP/2 without TLS, but a server has `https`",
        ),
        (
            "servers = ['http://a'], balance = 'fastest'",
            "E0105 1: unknown value `fastest`; use `round-robin`, `random`, `least-request`, `peak-ewma`, `ring-hash` or `maglev`",
        ),
        ("servers = ['http://a'], balance = 'maglev'", "E0606 1: this policy needs `hash-on`"),
        (
            "servers = ['http://a'], hash-on = 'path'",
            "E0606 1: `hash-on` needs `balance = \"ring-hash\"` or `\"maglev\"`",
        ),
        (
            "servers = ['http://a'], balance = 'ring-hash', hash-on = 'header:a b'",
            "E0606 1: `header:a b` is no part of a request",
        ),
        ("servers = ['http://a'], balance = 'ring-hash', hash-on = 'cookie:sid'", ""),
        (
            "servers = ['http://a'], slow-start = '0s'",
            "E0105 1: a duration here is `1ms` to `8760h`",
        ),
        (
            "servers = ['http://a'], affinity.cookie = 'a=b'",
            "E0105 1: `a=b` cannot be the name of a cookie",
        ),
        (
            "servers = ['http://a'], affinity.secret = 'short'",
            "E0105 1: a secret has at least 16 bytes",
        ),
        (
            "servers = ['http://a'], discovery.file = 'a.json'",
            "E0605 1: `servers` and `discovery` exclude each other",
        ),
        ("discovery = {}", "E0605 1: `discovery` has no source"),
        (
            "discovery = { dns.name = 'a', file = 'a.json' }",
            "E0605 1: `discovery` has one source, `dns` or `file`",
        ),
        ("discovery.dns = { port = 80 }", "E0605 1: `dns` asks for one thing, `name` or `srv`"),
        (
            "discovery.dns = { srv = 'a', port = 80 }",
            "E0605 1: SRV records say the port themselves",
        ),
        ("discovery.dns.name = '10.0.0.1'", "E0605 1: `10.0.0.1` is an address, not a name"),
        ("discovery.dns.name = 'a..b'", "E0605 1: `a..b` is no host name"),
        ("discovery.dns = { name = 'a', port = 0 }", "E0105 1: a number here is 1 to 65535, not 0"),
        (
            "discovery.dns = { name = 'a', resolver = ['a:53'] }",
            "E0105 1: `a:53` is no address with a port",
        ),
        (
            "discovery.dns = { name = 'a', scheme = 'https' }, h2c = true",
            "E0604 1: `h2c` is HTTP/2 without TLS, but a server has `https`",
        ),
        ("servers = ['https://a'], tls.cert = 'a.pem'", "E0106 1: `tls.cert` needs `tls.key`"),
        ("servers = ['https://a'], tls.key = 'a.pem'", "E0106 1: `tls.key` needs `tls.cert`"),
        (
            "servers = ['https://a'], tls.server-name = 'a b'",
            "E0105 1: `a b` is no host name or address",
        ),
        ("servers = ['http://a'], timeouts.first-byte = '3s'", ""),
        (
            "servers = ['http://a'], timeouts.first-byte = '0s'",
            "E0105 1: a duration here is `1ms` to `8760h`",
        ),
        ("servers = ['${env:ORDERS}', '${env:NONE:-http://b}']", ""),
        ("servers = ['${env:ORDERS}/secret']", "E0601 1: `${env:ORDERS}/secret` is no server"),
        ("servers = ['${env:NONE}']", "E0111 1: environment variable `NONE` is not set"),
    ] {
        let found = said(&with(keys));
        assert_eq!(found.join("|"), expected, "{keys}");
    }
}

#[test]
fn routes_are_checked() {
    let head = "upstreams.a.servers = ['http://a']\n[routes]\nu = { match = '/u', upstream = 'a' }";
    for (keys, expected) in [
        ("match = '/r'\nupstream = 'a'\nlisteners = []", "E0105 7: a route needs a listener"),
        ("upstream = 'a'", "E0106 4: route `r` lacks `match`"),
        ("match = '/r'", "E0306 4: this route does nothing"),
        ("match = []\nupstream = 'a'", "E0115 5: a route has 1 to 1024 conditions, not 0"),
        (
            "match = { path = '/r', host = 'a:1' }\nupstream = 'a'",
            "E0304 5: `a:1` is no host to match",
        ),
        ("match = { method = ['get'] }\nupstream = 'a'", "E0305 5: `get` is no method"),
        (
            "match = ['/r', { header = { 'a b' = '1' } }]\nupstream = 'a'",
            "E0305 5: `a b` is no name of a header field",
        ),
        (
            "match = '/r'\nupstream = 'a'\nredirect.location = '/b'",
            "E0306 7: a route cannot have both `upstream` and `redirect`",
        ),
        (
            "match = '/r'\nupstream = 'a'\nupgrades = ['websocket', 'x/1']",
            "E0105 7: `x/1` is no protocol",
        ),
        ("match = '/r'\nupstream = 'a'\nupgrades = ['websocket', 'irc']\ntunnel-idle = '5m'", ""),
        (
            "match = '/r'\nupstream = 'a'\nupgrades = ['WebSocket']",
            "E0105 7: `WebSocket` is no protocol",
        ),
        (
            "match = '/r'\nupstream = 'a'\nupgrades = ['h2c']",
            "E0105 7: a client cannot change to `h2c`",
        ),
        (
            "match = '/r'\nrespond = {}\nupgrades = ['websocket']",
            "W0302 7: `upgrades` has no effect without an upstream",
        ),
        ("match = '/r'\nrespond.status = 99", "E0307 6: a status here is 200 to 599, not 99"),
        (
            "match = '/r'\nrespond.headers.connection = 'close'",
            "E0307 6: `connection` is the host's business",
        ),
        (
            "match = '/r'\nredirect = { location = '/b', status = 200 }",
            "E0307 6: a status here is 301, 302, 303, 307 or 308, not 200",
        ),
        (
            "match = '/r'\nrespond = {}\nretry = {}",
            "W0302 7: `retry` has no effect without an upstream",
        ),
        (
            "match = '/r'\nupstreams = [{ name = 'a' }, { name = 'a' }]",
            "E0603 6: upstream `a` is listed twice",
        ),
        (
            "match = '/r'\nupstreams = [{ name = 'a', weight = 0 }]",
            "E0603 6: at least one upstream needs a weight above 0",
        ),
        (
            "match = '/r'\nupstream = 'a'\nrewrite.strip-prefix = '/r/'",
            "E0308 7: `/r/` is no prefix of a path",
        ),
        (
            "match = '/r'\nupstream = 'a'\nretry.attempts = 11",
            "E0309 7: `attempts` is 1 to 10, not 11",
        ),
        (
            "match = '/r'\nupstream = 'a'\nretry.backoff = '2s..1s'",
            "E0309 7: the first pause is longer than the longest",
        ),
        ("match = '/r'\nupstream = 'a'\nfilters = ['helo']", "E0201 7: no plugin named `helo`"),
        (
            "match = 5\nupstream = 'b'",
            "E0104 5: expected a string, a table or a list of them, found integer `5`|E0202 6: no upstream named `b`",
        ),
    ] {
        let found = said(&format!("{head}\n[routes.r]\n{keys}"));
        assert_eq!(found.join("|"), expected, "{keys}");
    }
}

#[test]
fn routes_must_not_get_into_each_others_way() {
    let two = |a: &str, b: &str| {
        said(&format!(
            "[routes.a]\nmatch = {a}\nrespond = {{}}\n[routes.b]\nmatch = {b}\nrespond = {{}}"
        ))
    };
    for (a, b, expected) in [
        ("'/x'", "'/y'", None),
        ("'/x'", "'/x'", Some("E0301")),
        ("'/x/{a}'", "'/x/{b}'", Some("E0301")),
        ("'GET /x'", "'POST /x'", None),
        ("'GET,PUT /x'", "'POST,PUT /x'", Some("E0301")),
        ("'GET /x'", "'/x'", None),
        ("'a.test/x'", "'/x'", None),
        ("'a.test/x'", "'A.test/x'", Some("E0301")),
        ("'*.a.test/x'", "'b.a.test/x'", None),
        ("{ path = '/x', header = { v = '1' } }", "'/x'", None),
        (
            "{ path = '/x', header = { v = '1' } }",
            "{ path = '/x', header = { V = '1' } }",
            Some("E0301"),
        ),
        ("{ path = '/x', query = { v = '1' } }", "{ path = '/x', query = { v = '2' } }", None),
        ("['/x', '/y']", "['/z', '/y']", Some("E0301")),
        ("['/x', '/x']", "'/y'", None),
        ("'/x/{id}'", "'/x/{*rest}'", None),
        ("'/x/{id}'", "'/x/{id}/{*rest}'", None),
        ("'/x/{id}'", "'/{*rest}'", None),
        ("'a.test/x/{id}'", "'/x/{*rest}'", None),
        ("'/{a}.png'", "'/{*rest}'", None),
        ("'/{a}.png'", "'/{b}.png'", Some("E0301")),
    ] {
        let found = two(a, b);
        let codes: Vec<&str> = found.iter().map(|s| &s[..5]).collect();
        assert_eq!(codes, expected.into_iter().collect::<Vec<_>>(), "{a} {b}");
    }
    let listeners = "[listeners.l]\nlisten = '127.0.0.1:1'\n[listeners.m]\nlisten = '127.0.0.1:2'\n\
        [routes.a]\nmatch = '/'\nrespond = {}\nlisteners = ['l']\n\
        [routes.b]\nmatch = '/'\nrespond = {}\nlisteners = ['m']";
    assert_eq!(said(listeners), Vec::<String>::new());
}

#[test]
fn safeguards_of_upstreams_are_checked() {
    let with = |keys: &str| {
        let text = format!("upstreams.a = {{ servers = ['http://a'], {keys} }}");
        format!("{text}\n[routes.u]\nmatch = '/'\nupstream = 'a'")
    };
    const EITHER: &str = "E0621 1: a check has either `path` or `tcp = true`";
    for (keys, expected) in [
        ("health = { path = '/healthz' }", ""),
        ("health = { tcp = true, interval = '100ms' }", ""),
        ("health = {}", EITHER),
        ("health = { tcp = false }", EITHER),
        ("health = { path = '/', tcp = true }", EITHER),
        ("health = { path = 'healthz' }", "E0621 1: `healthz` is no path"),
        ("health = { path = '/a b' }", "E0621 1: `/a b` is no path"),
        ("health = { path = '/', host = 'u@a' }", "E0621 1: `u@a` is no host"),
        ("health = { tcp = true, host = 'a' }", "E0621 1: `host` has no meaning for a connection"),
        (
            "health = { tcp = true, status = ['200'] }",
            "E0621 1: `status` has no meaning for a connection",
        ),
        (
            "health = { path = '/', status = ['1xx'] }",
            "E0621 1: `1xx` is no status; use a number from 200 to 599, or 2xx",
        ),
        ("health = { path = '/', status = [] }", "E0621 1: without a status nothing is healthy"),
        (
            "health = { path = '/', interval = '99ms' }",
            "E0621 1: checks are at least `100ms` apart",
        ),
        (
            "health = { path = '/', unhealthy-after = 0 }",
            "E0105 1: a number here is 1 to 1000, not 0",
        ),
        ("health = { path = '/', intervall = '1s' }", "E0102 1: unknown key `intervall`"),
        ("outlier = {}", ""),
        ("outlier = { consecutive-connects = 0, success-rate = {} }", ""),
        ("outlier = { consecutive-5xx = 1001 }", "E0105 1: a number here is 0 to 1000, not 1001"),
        (
            "outlier = { eject = '2m', eject-at-most = '1m' }",
            "E0621 1: the first ejection is longer than the longest",
        ),
        ("outlier = { max-ejected = 50 }", "E0103 1: a share needs a unit; use %"),
        (
            "outlier = { success-rate = { hosts = 1 } }",
            "E0105 1: a number here is 2 to 1024, not 1",
        ),
        ("panic = '0%'", ""),
        ("circuit = { max-pending = 0, max-retries = 0 }", ""),
        ("circuit = { max-connections = 1 }", ""),
        ("circuit = { max-connections = 0 }", "E0105 1: a number here is 1 to 1000000, not 0"),
        ("circuit = { max-requests = 0 }", "E0105 1: a number here is 1 to 1000000, not 0"),
        ("concurrency = { adaptive = true }", ""),
        (
            "concurrency = { adaptive = true, min = 9, max = 8 }",
            "E0621 1: `min` is larger than `max`",
        ),
    ] {
        let expected: &[&str] = if expected.is_empty() { &[] } else { &[expected] };
        assert_eq!(said(&with(keys)), expected, "{keys}");
    }
}

#[test]
fn hedges_are_checked() {
    let with = |keys: &str| {
        let upstream = "upstreams.a.servers = ['http://a', 'http://b']";
        format!("{upstream}\n[routes.u]\nmatch = '/'\nupstream = 'a'\nretry.hedge = {keys}")
    };
    for (keys, expected) in [
        ("{ after = '50ms' }", ""),
        ("{ after = '50ms', most = 3 }", ""),
        ("{}", "E0106 5: missing key `after`"),
        ("{ after = '0ms' }", "E0105 5: a duration here is `1ms` to `8760h`"),
        ("{ after = '50ms', most = 4 }", "E0309 5: `most` is 1 to 3, not 4"),
    ] {
        let expected: &[&str] = if expected.is_empty() { &[] } else { &[expected] };
        assert_eq!(said(&with(keys)), expected, "{keys}");
    }
}

#[test]
fn quarantine_is_a_table_or_off() {
    check_all(&[
        ("[plugins.a]\nquarantine = 'off'\nsource.file = 'a.wasm'", &[]),
        ("[plugins.a]\nquarantine = {}\nsource.file = 'a.wasm'", &[]),
        (
            "[plugins.a]\nquarantine = 'on'\nsource.file = 'a.wasm'",
            &["E0105 2: unknown value `on`; use `off` or a table"],
        ),
        (
            "[plugins.a]\nquarantine = { stops = 0 }\nsource.file = 'a.wasm'",
            &["E0105 2: a number here is 1 to 10000, not 0"],
        ),
        (
            "[plugins.a]\nquarantine = { probe = '5' }\nsource.file = 'a.wasm'",
            &["E0103 2: a duration needs a unit; use ms, s, m or h"],
        ),
    ]);
}

#[test]
fn a_plugin_goes_into_quarantine_by_default_and_falls_back() {
    let text = "[plugins.a]\nsource.file = 'a.wasm'\n[plugins.b]\nquarantine = { stops = 3, share = '80%' }\nfallback = false";
    let config = check(text).unwrap().config;
    let default = edgewit_model::Quarantine::default();
    assert_eq!(
        (config.plugins["a"].quarantine, config.plugins["a"].fallback),
        (Some(default), true)
    );
    let own = edgewit_model::Quarantine { stops: 3, share_percent: 80, ..default };
    assert_eq!((config.plugins["b"].quarantine, config.plugins["b"].fallback), (Some(own), false));
}
