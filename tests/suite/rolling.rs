//! Instances are restarted one after the other, behind a balancer and under load.

use std::net::TcpListener;

use edgewit_harness::{Ask, Gateway, Load, Protocol, Setup, get, post};
use rustix::process::Signal;

/// An instance on a port that it can have again.
fn instance() -> (Gateway, String) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let toml = "[routes.all]\nmatch = \"/{*rest}\"\nrespond = { body = \"here\" }\n";
    let server = "workers = 1\ndrain-delay = \"200ms\"\ndrain-timeout = \"20s\"\n";
    let listener = format!("[listeners.web]\nlisten = \"{address}\"\n");
    (Setup::new(toml).server(server).listeners(&listener).start(), format!("http://{address}"))
}

fn restart(mut gateway: Gateway) -> Gateway {
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    gateway.stop().start()
}

#[test]
fn a_rolling_restart_fails_no_request() {
    let (mut first, first_url) = instance();
    let (mut second, second_url) = instance();
    let toml = format!(
        "[upstreams.pair]\nservers = [\"{first_url}\", \"{second_url}\"]\n\
         [routes.all]\nmatch = \"/{{*rest}}\"\nupstream = \"pair\"\n\
         retry = {{ attempts = 3, on = [\"connect\"], budget = \"100%\" }}\n"
    );
    let balancer = Setup::new(toml).start();
    let load = |ask: Ask| {
        Load::start(balancer.address(), Protocol::H1, 2, ask, |reply| match reply.text().as_str() {
            "here" => Ok(()),
            _ => Err(format!("{reply:?}")),
        })
    };
    // What was not sent may be sent again, whatever the method: no POST is lost, and none is made twice.
    let loads = [load(get("/")), load(post("/", "body"))];
    for _ in 0..2 {
        loads.iter().for_each(|load| load.let_pass(100));
        first = restart(first);
        loads.iter().for_each(|load| load.let_pass(100));
        second = restart(second);
    }
    loads.iter().for_each(|load| load.let_pass(100));
    for load in loads {
        load.stop().assert_clean();
    }
}
