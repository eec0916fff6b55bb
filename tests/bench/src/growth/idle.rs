//! Memory of connections that wait, and of many filters.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    Figure, Setting,
    gateway::{Gateway, route},
};
use crate::{
    ask::Ask,
    contestants::edgewit::{header_filter, plugin},
};

const CONNECTIONS: usize = 10_000;
/// Files beside them.
const OTHERS: usize = 2_000;
const ROUTES: usize = 1_000;
const FILTERS: usize = 5;
/// The server takes a connection for idle after five seconds.
const PAUSE: Duration = Duration::from_secs(7);
const PATH: &str = "/service-0/orders";

/// What one connection costs that was used and waits.
pub(super) fn connections(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    allow_files()?;
    let gateway = Gateway::start(setting, &route("all", "/{*rest}", ""))?;
    gateway.ask(PATH)?;
    let before = gateway.memory();
    let idle = connect(&gateway)?;
    sleep(PAUSE);
    let each = (gateway.memory() - before) * 1024.0 / idle.len() as f64;
    let what = "resident memory of an idle keep-alive connection".to_owned();
    Ok(vec![Figure { what, value: each, goal: 8.0, unit: " KiB" }])
}

/// Everything at once.
pub(super) fn together(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    allow_files()?;
    let uses: Vec<String> = (0..FILTERS).map(header_filter).collect();
    let uses = uses.join(", ");
    let one = |n| route(&format!("r{n}"), &format!("/service-{n}/{{*rest}}"), &uses);
    let routes: String = (0..ROUTES).map(one).collect();
    let gateway = Gateway::start(setting, &(plugin("headers", "request") + &routes))?;
    let routes = gateway.memory();
    let _idle = connect(&gateway)?;
    sleep(PAUSE);
    let what = format!("resident memory with {ROUTES} routes x {FILTERS} filters");
    let both = format!("{what} and {CONNECTIONS} idle connections");
    Ok(vec![
        Figure { what, value: routes, goal: 400.0, unit: " MiB" },
        Figure { what: both, value: gateway.memory(), goal: 400.0, unit: " MiB" },
    ])
}

/// Connections that have had one answer each.
fn connect(gateway: &Gateway) -> Result<Vec<TcpStream>> {
    let request = Ask::to(PATH).bytes();
    let mut idle = Vec::with_capacity(CONNECTIONS);
    let mut buffer = vec![0; 8 << 10];
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(gateway.target.address)?;
        stream.write_all(&request)?;
        let mut filled = 0;
        // The body has letters of one kind only, and the head none of them twice in a row.
        while !buffer[..filled].ends_with(b"xxxx") || filled < Ask::to(PATH).size() {
            let read = stream.read(buffer.get_mut(filled..).context("the answer is too long")?)?;
            if read == 0 {
                bail!("the connection was closed");
            }
            filled += read;
        }
        idle.push(stream);
    }
    Ok(idle)
}

/// Sockets of this process, and of the server, which it starts. Each of them has one end of each connection.
fn allow_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = (CONNECTIONS + OTHERS) as u64;
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        bail!("the limit of open files is too low: ulimit -n {wanted}");
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?)
}
