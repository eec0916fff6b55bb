//! How long it takes until a change of the configuration is live.

use anyhow::Result;
use rustix::process::Signal;

use super::{
    Figure, Setting,
    gateway::{Gateway, until},
    requests::many_routes,
};
use crate::report::quantile;

/// Milliseconds.
const GOAL: f64 = 100.0;

/// One route among 10,000, from the signal to the first answer: what it does, and where it is found.
pub(super) fn figures(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let figure = |what: &str, value| Figure {
        what: format!("reload of {what} of one route among 10,000"),
        value,
        goal: GOAL,
        unit: " ms",
    };
    let answer = |round| {
        let status = if round % 2 == 0 { 404 } else { 410 };
        (format!("match = \"/changed\"\nrespond = {{ status = {status} }}"), "/changed", status)
    };
    let path = |round| {
        let path = if round % 2 == 0 { "/one" } else { "/other" };
        (format!("match = \"{path}\"\nrespond = {{ status = 410 }}"), path, 410)
    };
    Ok(vec![
        figure("the answer", median(setting, answer)?),
        figure("the path", median(setting, path)?),
    ])
}

/// The median of all rounds in milliseconds. `change`: the route's keys, and a path with the status that shows them.
fn median(
    setting: &Setting<'_>,
    change: impl Fn(usize) -> (String, &'static str, u16),
) -> Result<f64> {
    let routes = many_routes(10_000);
    let text = |keys: &str| format!("{routes}[routes.changed]\n{keys}\n");
    let gateway = Gateway::start(setting, &text("match = \"/\"\nrespond = { status = 204 }"))?;
    let mut millis = Vec::new();
    for round in 0..setting.rounds {
        let (keys, path, status) = change(round);
        gateway.configure(&text(&keys))?;
        gateway.program.signal(Signal::HUP)?;
        let wanted = format!("status: {status}");
        let took = until(|| Ok(gateway.ask(path)?.head.starts_with(&wanted)))?;
        millis.push(took.as_secs_f64() * 1e3);
    }
    Ok(quantile(millis, 0.5))
}
