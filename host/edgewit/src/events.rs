//! `edgewit events`: what has happened in a running server, and what happens now.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::Value;

use crate::{admin::Server, cli::Global, screen::Screen};

/// Lists what the server remembers; with `follow`, goes on until the server ends.
pub(crate) async fn run(global: &Global, follow: bool, screen: Screen) -> anyhow::Result<ExitCode> {
    let server = Server::find(global)?;
    if !follow {
        let all = server.get("/v1/events").await?;
        let events = all["events"].as_array().into_iter().flatten();
        events.rev().for_each(|event| show(event, screen));
        return Ok(ExitCode::SUCCESS);
    }
    let mut events = server.events().await?;
    while let Some(event) = events.next().await? {
        show(&event, screen);
    }
    bail!("the server has ended")
}

/// One line for each, also for programs.
fn show(event: &Value, screen: Screen) {
    screen.data(if screen.is_json() { event.to_string() } else { line(event) });
}

fn line(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    match &event["missed"] {
        Value::Null => format!("{}  {:<12} {}", text("at"), text("kind"), text("message")),
        missed => format!("{:<24}  {:<12} {missed} events", "", "missed"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let swap =
            json!({ "at": "2026-01-02T03:04:05.678Z", "kind": "swap", "message": "`a` 1 → 2" });
        assert_eq!(line(&swap), "2026-01-02T03:04:05.678Z  swap         `a` 1 → 2");
        let missed = json!({ "kind": "missed", "missed": 7 });
        assert_eq!(line(&missed), format!("{}missed       7 events", " ".repeat(26)));
    }
}
