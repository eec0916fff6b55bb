//! A real nginx behind the gateway.

use edgewit_harness::{Ask, Load, Nginx, Protocol, Setup, ask, get, post};

fn toml(servers: &[&Nginx], keys: &str) -> String {
    let urls: Vec<_> = servers.iter().map(|nginx| format!("\"{}\"", nginx.url())).collect();
    format!(
        "[upstreams.nginx]\nservers = [{}]\n[routes.all]\nmatch = \"/{{*rest}}\"\nupstream = \"nginx\"\n{keys}",
        urls.join(", ")
    )
}

/// A megabyte in which every part differs from every other.
fn large() -> Vec<u8> {
    (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn ranges_conditions_and_heads_pass_untouched() {
    let Some(nginx) = Nginx::start(&[("large", &large())], "etag on;") else { return };
    let gateway = Setup::new(toml(&[&nginx], "")).start();
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut client = gateway.connect_by(protocol);
        let whole = client.send(get("/large"));
        assert_eq!((whole.status, whole.body.as_ref()), (200, large().as_slice()));
        let etag = whole.header("etag").to_owned();
        assert!(!etag.is_empty());

        let head = client.send(ask("HEAD", "/large"));
        assert_eq!((head.status, head.header("content-length")), (200, "1048576"));
        assert!(head.body.is_empty());

        let part = client.send(get("/large").header("range", "bytes=1000-1999"));
        assert_eq!(part.status, 206);
        assert_eq!(part.header("content-range"), "bytes 1000-1999/1048576");
        assert_eq!(part.body, &large()[1000..2000]);

        let parts = client.send(get("/large").header("range", "bytes=0-9,100-109"));
        assert_eq!(parts.status, 206);
        assert!(parts.header("content-type").starts_with("multipart/byteranges"), "{parts:?}");

        let beyond = client.send(get("/large").header("range", "bytes=9999999-"));
        assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */1048576"));

        let same = client.send(get("/large").header("if-none-match", &etag));
        assert_eq!((same.status, same.header("etag")), (304, etag.as_str()));
        let stale = client.send(get("/large").header("if-match", "\"other\""));
        assert_eq!(stale.status, 412);
        assert_eq!(client.send(get("/missing")).status, 404);
        assert_eq!(client.send(post("/large", "x")).status, 405, "nginx serves files only");
    }
}

#[test]
fn connections_that_nginx_ends_cost_no_request() {
    // Each connection ends after five requests, without a word beforehand about when.
    let directives = "keepalive_requests 5; location / { return 200 \"ok\"; }";
    let Some(nginx) = Nginx::start(&[], directives) else { return };
    let gateway = Setup::new(toml(&[&nginx], "")).start();
    let load = start(&gateway, get("/"));
    load.let_pass(2_000);
    load.stop().assert_clean();
    let posts = start(&gateway, post("/", "body"));
    posts.let_pass(1_000);
    posts.stop().assert_clean();
}

#[test]
fn a_reload_of_nginx_under_load_fails_no_request() {
    let Some(nginx) = Nginx::start(&[], "location / { return 200 \"ok\"; }") else { return };
    let retry = "retry = { attempts = 3, on = [\"connect\", \"reset\"], budget = \"100%\" }\n";
    let gateway = Setup::new(toml(&[&nginx], retry)).start();
    let load = start(&gateway, get("/"));
    for _ in 0..5 {
        load.let_pass(200);
        nginx.reload();
    }
    load.let_pass(200);
    load.stop().assert_clean();
}

#[test]
fn servers_that_are_killed_and_restarted_cost_no_idempotent_request() {
    let directives = "location / { return 200 \"ok\"; }";
    let Some(first) = Nginx::start(&[], directives) else { return };
    let Some(second) = Nginx::start(&[], directives) else { return };
    let mut servers = [first, second];
    let retry =
        "retry = { attempts = 4, on = [\"connect\", \"reset\", \"502\"], budget = \"100%\" }\n";
    let [first, second] = &servers;
    let gateway = Setup::new(toml(&[first, second], retry)).start();
    let load = start(&gateway, get("/"));
    for round in 0..6 {
        let server = &mut servers[round % 2];
        load.let_pass(200);
        if round < 4 {
            server.kill()
        } else {
            server.quit()
        }
        load.let_pass(200);
        server.launch();
    }
    load.let_pass(200);
    load.stop().assert_clean();
}

fn start(gateway: &edgewit_harness::Gateway, ask: Ask) -> Load {
    Load::start(gateway.address(), Protocol::H1, 4, ask, |reply| match reply.text().as_str() {
        "ok" => Ok(()),
        _ => Err(format!("{reply:?}")),
    })
}
