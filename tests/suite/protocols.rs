//! HTTP/1.1 and HTTP/2, with and without TLS, on both sides.

use edgewit_harness::{Certs, Connection, Origin, Protocol, Setup, block_on, get, post};
use http::Version;

use crate::common::{assert_status, through};
use crate::guest;

const VERSIONS: [(Protocol, Version, &str); 2] =
    [(Protocol::H1, Version::HTTP_11, "HTTP/1.1"), (Protocol::H2, Version::HTTP_2, "HTTP/2")];

#[test]
fn clients_speak_http_1_and_2_without_tls() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"marker\"") + "[plugins.marker]\nconfig = { name = \"m\" }\n";
    let gateway = Setup::new(toml).guest(guest::MARKER).start();
    for (protocol, version, _) in VERSIONS {
        let mut connection = gateway.connect_by(protocol);
        for n in 0..3 {
            let reply = connection.send(post(&format!("/{n}"), "body"));
            assert_eq!((reply.status, reply.version), (200, version));
            assert_eq!(reply.header("x-trail"), "m:response");
            assert_eq!(reply.json()["body"], "body");
            assert_eq!(reply.json()["path"], format!("/{n}"));
        }
    }
}

#[test]
fn clients_speak_http_1_and_2_over_tls() {
    let certs = Certs::new();
    let toml = "[routes.all]\nmatch = \"/{*rest}\"\nrespond = {}\nfilters = [\"mirror\"]\n";
    let listeners = "[listeners.secure]\nlisten = \"127.0.0.1:0\"\n\
                     tls = { files = { cert = \"cert.pem\", key = \"key.pem\" } }\n";
    let setup = Setup::new(toml).file("cert.pem", &certs.cert).file("key.pem", &certs.key);
    let gateway = setup.listeners(listeners).guest(guest::MIRROR).start();
    for (protocol, version, name) in VERSIONS {
        let mut connection = gateway.connect_tls("secure", &certs, protocol);
        let reply = connection.send(get("/"));
        assert_eq!((reply.status, reply.version), (200, version));
        let facts = &reply.json()["facts"];
        assert_eq!((&facts["scheme"], &facts["protocol"]), (&"https".into(), &name.into()));
    }
    let stranger = Certs::new();
    let refused = block_on(Connection::open_tls(gateway.address(), &stranger, Protocol::H1));
    assert!(refused.is_err(), "another authority's client does not believe this certificate");
    let mut plain = gateway.raw();
    plain.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(!plain.read_to_end().contains("200 OK"));
}

#[test]
fn many_streams_of_one_connection_meet_one_filter() {
    let origin = Origin::echo();
    let toml = through(&origin, "\"marker\"") + "[plugins.marker]\nconfig = { name = \"m\" }\n";
    let gateway = Setup::new(toml).guest(guest::MARKER).start();
    let judge = |reply: &edgewit_harness::Reply| match reply.all("x-trail").as_slice() {
        ["m:response"] => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let load = edgewit_harness::Load::start(gateway.address(), Protocol::H2, 8, get("/"), judge);
    load.let_pass(400);
    load.stop().assert_clean();
}

#[test]
fn upstreams_are_spoken_to_over_tls() {
    let certs = Certs::new();
    for (protocol, _, _) in VERSIONS {
        let origin = Origin::tls(&certs, protocol);
        let toml = through(&origin, "") + "[upstreams.origin.tls]\nca = \"ca.pem\"\n";
        let gateway = Setup::new(toml).file("ca.pem", &certs.ca).start();
        assert_status(&gateway.get("/"), 200);
        let version = if protocol == Protocol::H2 { Version::HTTP_2 } else { Version::HTTP_11 };
        assert_eq!(origin.seen()[0].version, version);
    }
}

#[test]
fn an_upstream_with_a_strange_certificate_is_not_spoken_to() {
    let origin = Origin::tls(&Certs::new(), Protocol::H1);
    let toml = through(&origin, "") + "[upstreams.origin.tls]\nca = \"ca.pem\"\n";
    let gateway = Setup::new(toml).file("ca.pem", Certs::new().ca).start();
    gateway.get("/").assert_problem(502);
    assert!(origin.seen().is_empty());
}

#[test]
fn an_upstream_is_spoken_to_by_http_2_without_tls_if_the_configuration_says_so() {
    let origin = Origin::h2(|_| http::Response::new("two".into()));
    let toml =
        through(&origin, "").replace("[upstreams.origin]\n", "[upstreams.origin]\nh2c = true\n");
    let gateway = Setup::new(toml).start();
    assert_eq!(gateway.get("/").text(), "two");
    assert_eq!(origin.seen()[0].version, Version::HTTP_2);
}
