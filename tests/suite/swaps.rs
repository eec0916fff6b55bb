//! A thousand swaps and fifty reloads under constant load.
//!
//! The thousand are told to the gateway one by one (a renamed file, then SIGHUP), because the folder's watcher waits until
//! a file has been at rest for 50 ms, which would make minutes of them. `swap` has thirty by watching alone.

use std::time::{Duration, Instant};

use edgewit_harness::{Gateway, Load, Origin, Protocol, Reply, Setup, get, until, until_or_tell};
use rustix::process::Signal;

use crate::common::{plugin, route, through, upstream, with};
use crate::guest;

const SWAPS: u32 = 1_000;
const RELOADS: u32 = 50;

/// Saw both phases of the exchange the same version?
fn one_version(reply: &Reply) -> Result<(), String> {
    if reply.status != 200 {
        return Err(format!("{} {}", reply.status, reply.text()));
    }
    let (request, response) =
        (reply.echoed("x-request-version"), reply.header("x-response-version"));
    match request.as_str() {
        "1" | "2" if request == response => Ok(()),
        _ => Err(format!("request {request:?}, response {response:?}")),
    }
}

fn swap(gateway: &Gateway, n: u32) {
    let (guest, version) =
        if n.is_multiple_of(2) { (guest::VERSION_TWO, "2") } else { (guest::VERSION_ONE, "1") };
    let before = gateway.generation();
    gateway.put_guest(guest, "version");
    gateway.signal(Signal::HUP);
    until("the swap", || (gateway.generation() > before).then_some(()));
    assert_eq!(gateway.get("/").header("x-response-version"), version, "swap {n}");
}

#[test]
fn a_thousand_swaps_under_load_lose_nothing_and_mix_nothing() {
    let (streamed, mut streams) = Origin::streaming();
    let origin = Origin::echo();
    let toml = through(&origin, "\"version\"")
        + &upstream("streamed", &streamed)
        + "[routes.stream]\nmatch = \"/stream\"\nupstream = \"streamed\"\n"
        + &format!("filters = [{}]\n", with("version", "body = true"))
        + "[telemetry]\naccess-log = \"off\"\nlog = { level = \"warn\" }\n";
    let gateway = Setup::new(toml).guest_as(guest::VERSION_ONE, "version").start();
    let load = || {
        let h1 = Load::start(gateway.address(), Protocol::H1, 2, get("/"), one_version);
        let h2 = Load::start(gateway.address(), Protocol::H2, 1, get("/"), one_version);
        h1.let_pass(100);
        [h1, h2]
    };
    let clean = |load: [Load; 2]| {
        for loaded in load.map(Load::stop) {
            assert!(loaded.failed.is_empty(), "{:#?}\n{:#?}", loaded.failed, gateway.log.all());
            assert!(loaded.requests > 100, "there was load: {}", loaded.requests);
        }
    };
    // What is warm is not what swaps leave behind.
    let warm = load();
    (0..20).for_each(|n| swap(&gateway, n));
    clean(warm);
    let memory = gateway.memory_at_rest();
    let mut stream = gateway.raw();
    stream.write("GET /stream HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let parts = until("the origin to be asked", || streams.try_recv().ok());
    let part = |stream: &mut edgewit_harness::Raw, n: u32| {
        let text = format!("{n}:?;");
        parts.send(Ok(hyper::body::Frame::data(text.into()))).unwrap();
        stream.read_until(&format!("{n}:1;"));
    };

    let loads = load();
    let (begun, files) = (Instant::now(), gateway.open_files());
    for n in 0..SWAPS {
        swap(&gateway, n);
        // Often enough that an upstream does not seem to have stalled, however slow the machine is.
        if n.is_multiple_of(10) {
            part(&mut stream, n);
        }
    }
    let took = begun.elapsed();
    part(&mut stream, SWAPS);
    clean(loads);
    drop(parts);
    assert!(stream.read_to_end().ends_with("0\r\n\r\n"), "the stream ended as it should");
    assert!(took < Duration::from_secs(180), "{took:?}");
    until("instances to be gone", || (live_instances(&gateway) == 0.0).then_some(()));
    let bound = memory + memory / 10;
    let what = || format!("memory to be back: {memory} before, {} now", gateway.memory());
    until_or_tell(what, || (gateway.memory() <= bound).then_some(()));
    assert!(gateway.open_files() <= files + 4, "{files} became {}", gateway.open_files());
}

fn live_instances(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("edgewit_instances", &[])
}

#[test]
fn fifty_reloads_under_load_lose_nothing() {
    let origin = Origin::echo();
    let toml = |n: u32| {
        upstream("origin", &origin)
            + &route("all", "/{*rest}", &with("marker", &format!("name = \"m{}\"", n % 2)))
            + &route("more", &format!("/more/{n}"), "")
            + &plugin("marker", "config = { name = \"unused\" }")
    };
    let gateway = Setup::new(toml(0)).guest(guest::MARKER).start();
    let whole = |reply: &Reply| {
        if reply.status != 200 {
            return Err(format!("{} {}", reply.status, reply.text()));
        }
        let (request, response) = (reply.echoed("x-trail"), reply.header("x-trail"));
        let name = &response[..response.len().min(2)];
        let expected = format!("{name}:auth,{name}:routing,{name}:request");
        match name {
            "m0" | "m1" if request == expected => Ok(()),
            _ => Err(format!("{request:?}, {response:?}")),
        }
    };
    let h1 = Load::start(gateway.address(), Protocol::H1, 2, get("/"), whole);
    let h2 = Load::start(gateway.address(), Protocol::H2, 1, get("/"), whole);
    h1.let_pass(50);
    for n in 1..=RELOADS {
        gateway.write(&toml(n));
        gateway.reload();
        assert_eq!(gateway.get("/").header("x-trail"), format!("m{}:response", n % 2));
        assert_eq!(
            gateway.get(&format!("/more/{n}")).header("x-trail"),
            "",
            "the new route is there"
        );
    }
    for load in [h1, h2] {
        load.stop().assert_clean();
    }
    assert_eq!(gateway.generation(), u64::from(RELOADS) + 1);
    assert_eq!(gateway.metrics().sum("edgewit_config_last_reload_successful", &[]), 1.0);
}
