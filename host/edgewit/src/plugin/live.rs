//! `edgewit plugin list|swap|rollback|disable|enable`: the plugins of a running server, through its administration endpoint.

use std::{fs, process::ExitCode};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    admin::Server,
    cli::Global,
    plugin::{
        is_file,
        usage::{brief, limits_and_usage},
    },
    screen::{Screen, table},
};

/// What is asked of the server.
pub(crate) enum Ask<'a> {
    List,
    Inspect(&'a str),
    /// A version that the server has, or a file to be sent first.
    Swap(&'a str, &'a str),
    Rollback(&'a str),
    Disable(&'a str, bool),
    Enable(&'a str),
}

/// Asks the running server. Fails if it says no.
pub(crate) async fn run(global: &Global, ask: Ask<'_>, screen: Screen) -> anyhow::Result<ExitCode> {
    let server = Server::find(global)?;
    let said = match ask {
        Ask::List => {
            let all = server.get("/v1/plugins").await?;
            match screen.is_json() {
                true => screen.json(&all)?,
                false => screen.data(list(&all)),
            }
            return Ok(ExitCode::SUCCESS);
        }
        Ask::Inspect(name) => {
            let plugin = server.get(&format!("/v1/plugins/{name}")).await?;
            match screen.is_json() {
                true => screen.json(&plugin)?,
                false => screen.data(describe(&plugin)),
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

const HEAD: [&str; 7] =
    ["PLUGIN", "VERSION", "DIGEST", "STATE", "SINCE", "USED (P99/LIMIT)", "REMARK"];

fn list(all: &Value) -> String {
    let empty = Vec::new();
    let plugins = all["plugins"].as_array().unwrap_or(&empty);
    let rows: Vec<_> = plugins.iter().flat_map(rows).collect();
    if rows.is_empty() {
        return "there are no plugins".to_owned();
    }
    table(&HEAD, &rows)
}

/// A plugin of the running server, with what it really uses.
fn describe(plugin: &Value) -> String {
    let standing = &plugin["standing"];
    let versions = rows(plugin);
    let remark = match standing {
        Value::Null => "it does not serve".to_owned(),
        some => self::standing(some),
    };
    let empty = Vec::new();
    let all = plugin["versions"].as_array().unwrap_or(&empty);
    let serving = all.iter().find(|version| serves(plugin, version));
    let loaded = serving.map(|version| &version["configurations"][0]);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("-").to_owned();
    let names = |key: &str| {
        let list = loaded.and_then(|loaded| loaded[key].as_array());
        let names: Vec<_> = list.into_iter().flatten().filter_map(Value::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let calls = plugin["usage"]["time-ns"]["count"].as_u64().unwrap_or(0);
    let facts = [
        ("name", text(plugin.get("name"))),
        ("remark", remark),
        ("phases", names("phases")),
        ("capabilities", names("capabilities")),
        ("isolation", text(loaded.map(|loaded| &loaded["isolation"]))),
        ("namespace", text(standing.get("namespace"))),
        ("calls", calls.to_string()),
    ];
    let facts = facts.iter().filter(|(_, value)| !value.is_empty());
    let facts: Vec<_> = facts.map(|(key, value)| format!("{key:<14} {value}")).collect();
    let mut parts = vec![facts.join("\n"), limits_and_usage(&standing["limits"], &plugin["usage"])];
    parts.push(table(&HEAD, &versions));
    parts.join("\n\n")
}

fn serves(plugin: &Value, version: &Value) -> bool {
    version["digest"] == plugin["standing"]["serving"] && version["state"] != "refused"
}

/// One row for each version; the name stands in the first.
fn rows(plugin: &Value) -> Vec<Vec<String>> {
    let empty = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let row = |(n, version): (usize, &Value)| {
        let digest = text(&version["digest"]);
        let digest = digest.trim_start_matches("sha256:").chars().take(12).collect();
        let serves = serves(plugin, version);
        let used = match serves {
            true => brief(&plugin["standing"]["limits"], &plugin["usage"]),
            false => String::new(),
        };
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
            used,
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
    fn a_plugin_is_described_with_what_it_uses() {
        let spread = json!({ "count": 3, "p50": 1_000, "p99": 2_000, "max": 3_000 });
        let plugin = json!({
            "name": "jwt",
            "standing": {
                "serving": "sha256:aa", "namespace": "plugin",
                "limits": { "fuel": 40_000_000, "time-ns": 50_000_000, "memory-bytes": 16 << 20 },
            },
            "usage": { "fuel": spread, "time-ns": spread, "memory-bytes": spread },
            "versions": [{
                "digest": "sha256:aa", "version": "1", "state": "active", "since": "t",
                "configurations": [{ "phases": ["auth"], "capabilities": [], "isolation": "request" }],
            }],
        });
        let said = describe(&plugin);
        for line in [
            "phases         auth",
            "capabilities   none",
            "calls          3",
            "fuel    40.0M     1.0k",
            "active",
        ] {
            assert!(said.contains(line), "no {line} in\n{said}");
        }
        let gone = describe(&json!({ "name": "jwt", "standing": null, "versions": [] }));
        assert!(gone.contains("it does not serve") && gone.contains("calls          0"), "{gone}");
    }
}
