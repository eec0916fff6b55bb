//! Clients that want nothing but answers, each of which is judged.

use std::net::SocketAddr;

use edgewit_harness::{Ask, Load, Loaded, Protocol, Reply, get, post};

/// All honest clients.
pub(crate) struct Honest(Vec<Load>);

/// Says what is wrong with a response.
type Judge = fn(&Reply) -> Result<(), String>;

impl Honest {
    /// Lets them begin.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let all: [(Protocol, Ask, Judge); 6] = [
            (Protocol::H1, get("/plain/a"), answered),
            (Protocol::H1, get("/version"), one_version),
            (Protocol::H2, get("/version"), one_version),
            (Protocol::H1, get("/signed?a=?"), signed),
            (Protocol::H2, post("/chain", "a body"), chained),
            (Protocol::H2, get("/other/a"), one_version),
        ];
        let begin = |(protocol, ask, judge)| Load::start(address, protocol, 1, ask, judge);
        Self(all.into_iter().map(begin).collect())
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.0.iter().map(Load::requests).sum()
    }

    /// Lets the requests under way finish; gives their number, and what was wrong with some.
    pub(crate) fn stop(self) -> (u64, Vec<String>) {
        let all: Vec<Loaded> = self.0.into_iter().map(Load::stop).collect();
        let requests = all.iter().map(|loaded| loaded.requests).sum();
        (requests, all.into_iter().flat_map(|loaded| loaded.failed).collect())
    }
}

fn answered(reply: &Reply) -> Result<(), String> {
    if reply.status == 200 { Ok(()) } else { Err(format!("{} {}", reply.status, reply.text())) }
}

/// Saw both phases of the exchange the same version?
fn one_version(reply: &Reply) -> Result<(), String> {
    answered(reply)?;
    let request = reply.echoed("x-request-version");
    let response = reply.header("x-response-version");
    match request.as_str() {
        "1" | "2" if request == response => Ok(()),
        _ => Err(format!("request {request:?}, response {response:?}")),
    }
}

/// The same, if the filter signs the body, too: each `?` of it.
fn signed(reply: &Reply) -> Result<(), String> {
    one_version(reply)?;
    let (text, version) = (reply.text(), reply.header("x-response-version"));
    let path = format!("/signed{version}a={version}");
    if text.contains(&path) { Ok(()) } else { Err(format!("no {path} in {text}")) }
}

/// Saw all phases the same configuration, and did every filter of the chain its part?
fn chained(reply: &Reply) -> Result<(), String> {
    one_version(reply)?;
    let (request, response) = (reply.echoed("x-trail"), reply.header("x-trail"));
    let name = response.split(':').next().unwrap_or_default();
    let expected = format!("{name}:auth,{name}:routing,{name}:request");
    let body = reply.json()["body"].as_str().unwrap_or_default().to_owned();
    match name.starts_with('m') && request == expected && body == "A BODY" {
        true => Ok(()),
        false => Err(format!("request {request:?}, response {response:?}, body {body:?}")),
    }
}
