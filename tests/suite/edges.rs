//! What the file says about both edges, through the whole program: clients with certificates, certificates that are renewed,
//! servers that are discovered and checked.

use std::fs;

use edgewit_harness::{Certs, Connection, Origin, Protocol, Setup, block_on, get, until};

use crate::{common::assert_status, guest};

const MIRRORED: &str = "[routes.all]\nmatch = \"/{*rest}\"\nrespond = {}\nfilters = [\"mirror\"]\n";

fn secure(more: &str) -> String {
    format!(
        "[listeners.secure]\nlisten = \"127.0.0.1:0\"\n\
         tls.files = {{ cert = \"cert.pem\", key = \"key.pem\" }}\n{more}"
    )
}

#[test]
fn a_filter_learns_who_showed_a_certificate_and_nobody_else_comes_in() {
    let certs = Certs::new();
    let listener = secure("tls.client-auth = { ca = \"ca.pem\", mode = \"require\" }\n");
    let setup = Setup::new(MIRRORED).guest(guest::MIRROR).listeners(&listener);
    let setup = setup.file("cert.pem", &certs.cert).file("key.pem", &certs.key);
    let gateway = setup.file("ca.pem", &certs.ca).start();
    let address = gateway.listener("secure");
    for protocol in [Protocol::H1, Protocol::H2] {
        let open = Connection::open_tls_as(address, &certs, &certs, protocol);
        let mut client = block_on(open).unwrap();
        let reply = client.send(get("/").header("client-cert", "forged"));
        assert_status(&reply, 200);
        assert_eq!(reply.json()["facts"]["client-identity"], Certs::NAME);
        assert!(!reply.text().contains("forged"), "{}", reply.text());
    }
    gateway.access.wait_for(&["\"client_identity\":\"localhost\""]);
    for stranger in [None, Some(Certs::new())] {
        let opened = match &stranger {
            None => block_on(Connection::open_tls(address, &certs, Protocol::H1)),
            Some(own) => block_on(Connection::open_tls_as(address, &certs, own, Protocol::H1)),
        };
        // With TLS 1.3 a client learns only with its first read that it is not welcome.
        let answered = opened.map(|mut client| block_on(client.try_send(get("/"))).is_ok());
        assert!(!answered.unwrap_or(false), "without a certificate that counts nobody comes in");
    }
}

#[test]
fn a_certificate_that_is_renewed_on_disk_is_shown_and_a_bad_one_is_not() {
    let (old, new) = (Certs::new(), Certs::new());
    let toml = "[routes.all]\nmatch = \"/\"\nrespond = { body = \"here\" }\n";
    let setup = Setup::new(toml).listeners(&secure(""));
    let setup = setup.file("cert.pem", &old.cert).file("key.pem", &old.key);
    let gateway = setup.start();
    let address = gateway.listener("secure");
    let believes = |certs: &Certs| {
        let opened = block_on(Connection::open_tls(address, certs, Protocol::H1));
        opened.is_ok_and(|mut client| client.send(get("/")).text() == "here")
    };
    assert!(believes(&old) && !believes(&new));
    let mut kept = block_on(Connection::open_tls(address, &old, Protocol::H1)).unwrap();
    assert_eq!(kept.send(get("/")).text(), "here");
    let write =
        |name: &str, text: &str| fs::write(gateway.setup().path().join(name), text).unwrap();
    write("key.pem", &new.key); // does not fit the certificate any more
    gateway.log.wait_for(&["certificates are refused, those before serve on"]);
    assert!(believes(&old), "what cannot be used changes nothing");
    write("cert.pem", &new.cert);
    until("the new certificate to be shown", || believes(&new).then_some(()));
    assert_eq!(kept.send(get("/")).text(), "here", "no connection notices");
    let expiry = gateway.metrics().sum("edgewit_tls_certificate_expiry_seconds", &[]);
    assert!(expiry > 1.7e9, "{expiry}");
}

#[test]
fn servers_come_from_a_file_that_changes() {
    let (first, second) = (Origin::named("first"), Origin::named("second"));
    let list = |origin: &Origin| format!("{{\"servers\": [\"{}\"]}}", origin.url());
    let toml = "[upstreams.o]\ndiscovery.file = \"servers.json\"\n\
                [routes.all]\nmatch = \"/\"\nupstream = \"o\"\n";
    let gateway = Setup::new(toml).file("servers.json", list(&first)).start();
    assert_eq!(gateway.get("/").header("x-origin"), "first");
    fs::write(gateway.setup().path().join("servers.json"), list(&second)).unwrap();
    until("the other server to be asked", || {
        (gateway.get("/").header("x-origin") == "second").then_some(())
    });
    fs::write(gateway.setup().path().join("servers.json"), "{").unwrap();
    gateway.log.wait_for(&["servers.json"]);
    assert_eq!(gateway.get("/").header("x-origin"), "second", "the last good list stays");
    assert_eq!(gateway.generation(), 1, "this is no reload");
}

#[test]
fn a_server_that_fails_its_checks_gets_no_requests() {
    let healthy = Origin::named("healthy");
    let ill = Origin::answering(|_| {
        http::Response::builder().status(503).body(bytes::Bytes::new()).unwrap()
    });
    let toml = format!(
        "[upstreams.o]\nservers = [\"{}\", \"{}\"]\n\
         health = {{ path = \"/healthz\", interval = \"100ms\", unhealthy-after = 2 }}\n\
         [routes.all]\nmatch = \"/\"\nupstream = \"o\"\n",
        healthy.url(),
        ill.url()
    );
    let gateway = Setup::new(toml).start();
    let well = |server: &str| {
        gateway.metrics().sum("edgewit_upstream_server_healthy", &[("server", server)])
    };
    let server = |origin: &Origin| origin.url().replace("http://", "");
    until("the checks to fail", || (well(&server(&ill)) == 0.0).then_some(()));
    assert!((well(&server(&healthy)) - 1.0).abs() < f64::EPSILON);
    for _ in 0..20 {
        assert_eq!(gateway.get("/").header("x-origin"), "healthy");
    }
}
