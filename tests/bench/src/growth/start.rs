//! How long a start takes.

use std::time::Instant;

use anyhow::Result;

use super::{
    Figure, Setting,
    gateway::{Gateway, copies, route},
};
use crate::{artifacts, report::quantile};

const ROUTES: usize = 1_000;
const PLUGINS: usize = 50;
/// Seconds.
const GOAL: f64 = 1.0;

/// With 1,000 routes and 50 plugins that the cache has.
pub(super) fn figures(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let names: Vec<String> = (0..PLUGINS).map(|n| format!("p{n}")).collect();
    let mut folder = tempfile::tempdir()?;
    copies(folder.path(), &artifacts::component("headers")?, &names)?;
    let text = text(&names);
    let mut seconds = Vec::new();
    for round in 0..=setting.rounds {
        let begun = Instant::now();
        let gateway = Gateway::start_in(setting, folder, &text)?;
        gateway.ask("/service-0/orders")?;
        if round > 0 {
            // The first one compiled.
            seconds.push(begun.elapsed().as_secs_f64());
        }
        gateway.program.end()?;
        folder = gateway.folder;
    }
    Ok(vec![Figure {
        what: format!("start with {ROUTES} routes and {PLUGINS} cached plugins"),
        value: quantile(seconds, 0.5),
        goal: GOAL,
        unit: " s",
    }])
}

/// Each plugin with a configuration of its own.
fn text(names: &[String]) -> String {
    let plugin = |name| {
        format!("[plugins.{name}]\nconfig = {{ request = {{ set = {{ x-{name} = \"1\" }} }} }}\n")
    };
    let plugins: String = names.iter().map(plugin).collect();
    let filter = |n: usize| names.get(n % names.len().max(1)).map(|name| format!("\"{name}\""));
    let one = |n| {
        let filter = filter(n).unwrap_or_default();
        route(&format!("r{n}"), &format!("/service-{n}/{{*rest}}"), &filter)
    };
    plugins + &(0..ROUTES).map(one).collect::<String>()
}
