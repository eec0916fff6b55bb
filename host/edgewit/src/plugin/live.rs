//! `edgewit plugin list|swap|rollback|disable|enable`: the plugins of a running server, through its administration endpoint.

use std::{fs, net::SocketAddr, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use edgewit_control::Source;
use http::{
    Request,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    cli::Global,
    config,
    screen::{Screen, table},
};

/// What is asked of the server.
pub(crate) enum Ask<'a> {
    List,
    /// A version that the server has, or a file to be sent first.
    Swap(&'a str, &'a str),
    Rollback(&'a str),
    Disable(&'a str, bool),
    Enable(&'a str),
}

/// Until a connection is there; it is this machine.
const CONNECT: Duration = Duration::from_secs(5);
/// Until an answer is there. A new version is compiled first, and may have to wait for another one.
const ANSWER: Duration = Duration::from_secs(180);
/// Bytes of an answer.
const LARGEST_ANSWER: usize = 16 << 20;

/// Asks the running server. Fails if it says no.
pub(crate) async fn run(global: &Global, ask: Ask<'_>, screen: Screen) -> anyhow::Result<ExitCode> {
    let server = Server { address: address(global)? };
    let said = match ask {
        Ask::List => {
            let all = server.get("/v1/plugins").await?;
            match screen.is_json() {
                true => screen.json(&all)?,
                false => screen.data(list(&all)),
            }
            return Ok(ExitCode::SUCCESS);
        }
        Ask::Swap(name, version) if is_file(version) => {
            let bytes = fs::read(version).with_context(|| format!("cannot read `{version}`"))?;
            let path = format!("/v1/plugins/{name}/versions");
            let sent = server.post(&path, "application/wasm", bytes.into()).await?;
            let digest = sent["digest"].as_str().context("the answer names no digest")?;
            server.command(name, "swap", &json!({ "version": digest })).await?
        }
        Ask::Swap(name, version) => {
            server.command(name, "swap", &json!({ "version": version })).await?
        }
        Ask::Rollback(name) => server.command(name, "rollback", &json!({})).await?,
        Ask::Disable(name, force) => {
            server.command(name, "disable", &json!({ "force": force })).await?
        }
        Ask::Enable(name) => server.command(name, "enable", &json!({})).await?,
    };
    match screen.is_json() {
        true => screen.json(&said)?,
        false => screen.data(said["message"].as_str().unwrap_or("done")),
    }
    Ok(ExitCode::SUCCESS)
}

/// A version never ends so, nor does it have a slash.
fn is_file(version: &str) -> bool {
    version.contains('/') || Path::new(version).extension().is_some_and(|e| e == "wasm")
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

struct Server {
    address: SocketAddr,
}

impl Server {
    async fn command(&self, plugin: &str, verb: &str, body: &Value) -> anyhow::Result<Value> {
        let path = format!("/v1/plugins/{plugin}:{verb}");
        self.post(&path, "application/json", body.to_string().into()).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Request::get(path), Bytes::new()).await
    }

    async fn post(&self, path: &str, kind: &str, body: Bytes) -> anyhow::Result<Value> {
        let request = Request::post(path).header("x-edgewit-admin", "1").header(CONTENT_TYPE, kind);
        self.send(request, body).await
    }

    async fn send(&self, request: http::request::Builder, body: Bytes) -> anyhow::Result<Value> {
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
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
            anyhow::Ok((status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(ANSWER, exchange)
            .await
            .with_context(|| format!("the server at {address} does not answer"))?
            .with_context(|| format!("what answers at {address} is no edgewit"))?;
        let said: Value = serde_json::from_slice(&body)
            .with_context(|| format!("what answers at {address} is no edgewit"))?;
        if !status.is_success() {
            bail!("{}", refusal(&said));
        }
        Ok(said)
    }
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

fn list(all: &Value) -> String {
    let empty = Vec::new();
    let plugins = all["plugins"].as_array().unwrap_or(&empty);
    let rows: Vec<_> = plugins.iter().flat_map(rows).collect();
    if rows.is_empty() {
        return "there are no plugins".to_owned();
    }
    table(&["PLUGIN", "VERSION", "DIGEST", "STATE", "SINCE", "REMARK"], &rows)
}

/// One row for each version; the name stands in the first.
fn rows(plugin: &Value) -> Vec<Vec<String>> {
    let empty = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let row = |(n, version): (usize, &Value)| {
        let digest = text(&version["digest"]);
        let digest = digest.trim_start_matches("sha256:").chars().take(12).collect();
        let serves =
            version["digest"] == plugin["standing"]["serving"] && version["state"] != "refused";
        let remark = match serves {
            true => standing(&plugin["standing"]),
            false => version["reason"]["message"].as_str().unwrap_or_default().to_owned(),
        };
        vec![
            if n == 0 { text(&plugin["name"]) } else { String::new() },
            text(&version["version"]),
            digest,
            text(&version["state"]),
            text(&version["since"]),
            remark,
        ]
    };
    plugin["versions"].as_array().unwrap_or(&empty).iter().enumerate().map(row).collect()
}

fn standing(standing: &Value) -> String {
    let table = [
        ("disabled", "disabled: in no chain"),
        ("quarantined", "quarantined: not called, see `edgewit explain E0451`"),
        ("pinned", "not what is in the file; a restart goes back to it"),
    ];
    let words: Vec<_> =
        table.iter().filter(|(key, _)| standing[*key] == true).map(|(_, words)| *words).collect();
    match words.as_slice() {
        [] if standing["astray"] == true => "the file is gone or refused".to_owned(),
        some => some.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_files_are_told_apart() {
        let cases = [
            ("ca978112", false),
            ("1.4.0", false),
            ("sha256:ca97", false),
            ("./new", true),
            ("new.wasm", true),
        ];
        for (text, expected) in cases {
            assert_eq!(is_file(text), expected, "{text}");
        }
    }

    #[test]
    fn a_list_names_the_plugin_once_and_says_what_is_unusual() {
        let all = json!({ "plugins": [{
            "name": "jwt",
            "standing": { "serving": "sha256:aa", "pinned": true, "astray": true },
            "versions": [
                { "digest": "sha256:bb", "version": "2", "state": "refused", "since": "t", "reason": { "message": "no" } },
                { "digest": "sha256:aa", "version": "1", "state": "active", "since": "t" },
            ],
        }] });
        let said = list(&all);
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[1].starts_with("jwt") && lines[1].ends_with("no"), "{said}");
        assert!(
            lines[2].starts_with(' ') && lines[2].contains("not what is in the file"),
            "{said}"
        );
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
