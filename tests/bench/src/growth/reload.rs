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

/// One route among 10,000, from the signal to the first answer.
pub(super) fn figures(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let routes = many_routes(10_000);
    let text = |status: u16| {
        format!(
            "{routes}[routes.changed]\nmatch = \"/changed\"\nrespond = {{ status = {status} }}\n"
        )
    };
    let gateway = Gateway::start(setting, &text(204))?;
    let mut millis = Vec::new();
    for round in 0..setting.rounds {
        let status = if round % 2 == 0 { 404 } else { 410 };
        gateway.configure(&text(status))?;
        gateway.program.signal(Signal::HUP)?;
        let wanted = format!("status: {status}");
        let took = until(|| Ok(gateway.ask("/changed")?.head.starts_with(&wanted)))?;
        millis.push(took.as_secs_f64() * 1e3);
    }
    Ok(vec![Figure {
        what: "reload of one route among 10,000".to_owned(),
        value: quantile(millis, 0.5),
        goal: GOAL,
        unit: " ms",
    }])
}
