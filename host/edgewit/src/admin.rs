//! The administration endpoint of a running server, asked by commands.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use edgewit_control::Source;
use http::{
    Request, Response,
    header::{ACCEPT, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{cli::Global, config};

/// Until a connection is there; it is this machine.
const CONNECT: Duration = Duration::from_secs(5);
/// Until an answer is there. A new version is compiled first, and may have to wait for another one.
const ANSWER: Duration = Duration::from_secs(180);
/// Bytes of an answer.
const LARGEST_ANSWER: usize = 16 << 20;

/// Where a server is asked.
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    /// The one that the command line or the configuration names.
    pub(crate) fn find(global: &Global) -> anyhow::Result<Self> {
        Ok(Self { address: address(global)? })
    }

    /// Has something done to a plugin.
    pub(crate) async fn command(
        &self,
        plugin: &str,
        verb: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let path = format!("/v1/plugins/{plugin}:{verb}");
        self.post(&path, "application/json", body.to_string().into()).await
    }

    /// A page.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Request::get(path), Bytes::new()).await
    }

    /// Sends something.
    pub(crate) async fn post(&self, path: &str, kind: &str, body: Bytes) -> anyhow::Result<Value> {
        let request = Request::post(path).header("x-edgewit-admin", "1").header(CONTENT_TYPE, kind);
        self.send(request, body).await
    }

    /// What has happened and what happens from now on, until the server ends it.
    pub(crate) async fn events(&self) -> anyhow::Result<Events> {
        let request = Request::get("/v1/events").header(ACCEPT, "text/event-stream");
        let response = self.ask(request, Bytes::new()).await?;
        if response.status().is_success() {
            return Ok(Events { body: response.into_body(), read: Vec::new() });
        }
        self.read(response).await?;
        bail!("{}", self.stranger())
    }

    async fn send(&self, request: http::request::Builder, body: Bytes) -> anyhow::Result<Value> {
        let exchange = async { self.read(self.ask(request, body).await?).await };
        let answer = tokio::time::timeout(ANSWER, exchange).await;
        answer.with_context(|| format!("the server at {} does not answer", self.address))?
    }

    /// The head of the answer.
    async fn ask(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let address = self.address;
        let request = request.header(HOST, address.to_string()).body(Full::new(body));
        let request = request.context("this is no name of a plugin")?;
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
        let nobody = || {
            format!(
                "no running server answers at {address}; start one with `edgewit run`, or name another address with --admin"
            )
        };
        let stream = stream.with_context(nobody)?.with_context(nobody)?;
        let exchange = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        exchange.await.with_context(|| self.stranger())
    }

    /// The whole answer.
    async fn read(&self, response: Response<Incoming>) -> anyhow::Result<Value> {
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
        let said: Value =
            serde_json::from_slice(&body.to_bytes()).with_context(|| self.stranger())?;
        if !status.is_success() {
            bail!("{}", refusal(&said));
        }
        Ok(said)
    }

    fn stranger(&self) -> String {
        format!("what answers at {} is no edgewit", self.address)
    }
}

/// Server-sent events of a running server.
pub(crate) struct Events {
    body: Incoming,
    read: Vec<u8>,
}

impl Events {
    /// The next one; `None`: the server has ended.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(event) = first_event(&mut self.read)? {
                return Ok(Some(event));
            }
            if self.read.len() > LARGEST_ANSWER {
                bail!("the server sends an event without end");
            }
            match self.body.frame().await {
                Some(frame) => {
                    let data = frame.context("the events broke off")?.into_data();
                    self.read.extend(data.iter().flatten());
                }
                None => return Ok(None),
            }
        }
    }
}

/// Takes the first whole event out of what was read; comments are left out.
fn first_event(read: &mut Vec<u8>) -> anyhow::Result<Option<Value>> {
    while let Some(end) = read.windows(2).position(|pair| pair == b"\n\n") {
        let block: Vec<u8> = read.drain(..end + 2).collect();
        let lines = block.split(|byte| *byte == b'\n');
        if let Some(data) = lines.filter_map(|line| line.strip_prefix(b"data: ")).next() {
            return serde_json::from_slice(data).context("an event is no JSON").map(Some);
        }
    }
    Ok(None)
}

/// Where the server should be: what the command line says, else what the configuration does.
fn address(global: &Global) -> anyhow::Result<SocketAddr> {
    if let Some(address) = global.admin {
        return Ok(address);
    }
    let hint = "name the address of the running server with --admin";
    let config = match config::find(global)? {
        Some(Source::File(path)) => edgewit_config::load(&path),
        Some(Source::Text { name, text, base }) => edgewit_config::load_text(&name, &text, &base),
        Some(Source::Welcome) | None => return endpoint(&edgewit_config::welcome()).context(hint),
    };
    match config {
        Ok(loaded) => endpoint(&loaded.config).context(hint),
        Err(_) => bail!("the configuration has errors (`edgewit check` shows them); {hint}"),
    }
}

fn endpoint(config: &edgewit_model::Config) -> anyhow::Result<SocketAddr> {
    let admin = config.admin.as_ref().context("the configuration turns administration off")?;
    if admin.listen.port() == 0 {
        bail!("the configuration leaves the port of administration to the system");
    }
    Ok(admin.listen)
}

/// Why the server says no, with what to do about it.
fn refusal(problem: &Value) -> String {
    let detail = problem["detail"].as_str().unwrap_or("the server says no, but not why");
    let empty = Vec::new();
    let diagnostics = problem["diagnostics"].as_array().unwrap_or(&empty);
    let line = |diagnostic: &Value| {
        let text = |key: &str| diagnostic[key].as_str();
        let help = text("help").map(|help| format!("\n   = help: {help}")).unwrap_or_default();
        format!("\n  {}: {}{help}", text("code").unwrap_or("?"), text("message").unwrap_or(detail))
    };
    let lines: String = diagnostics.iter().map(line).collect();
    if lines.is_empty() { detail.to_owned() } else { format!("the server says no{lines}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_taken_out_one_by_one_and_only_whole() {
        let mut read =
            b":\n\nid: 7\ndata: {\"id\":7}\n\ndata: {\"kind\":\"missed\"}\n\nid: 8\ndata: {"
                .to_vec();
        assert_eq!(first_event(&mut read).unwrap(), Some(json!({ "id": 7 })));
        assert_eq!(first_event(&mut read).unwrap(), Some(json!({ "kind": "missed" })));
        assert_eq!(first_event(&mut read).unwrap(), None);
        read.extend(b"}\n\n");
        assert_eq!(first_event(&mut read).unwrap(), Some(json!({})));
        assert!(first_event(&mut b"data: x\n\n".to_vec()).is_err());
    }

    #[test]
    fn a_refusal_shows_every_reason_with_its_help() {
        let problem = json!({ "detail": "x", "diagnostics": [
            { "code": "E0404", "message": "`a` wants kv", "help": "allow = { kv = true }" },
        ] });
        let said = refusal(&problem);
        assert!(said.contains("E0404: `a` wants kv") && said.contains("help: allow"), "{said}");
        assert_eq!(refusal(&json!({ "detail": "x" })), "x");
    }
}
