//! What a request costs with few and with many.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{
    Figure, Setting,
    gateway::{Gateway, copies, route},
};
use crate::{artifacts, ask::Ask, load::Pace, report::quantile};

/// Differences below a twentieth mean nothing on a shared machine.
const FLAT: f64 = 1.05;
const TURN: Duration = Duration::from_millis(500);
const PATH: &str = "/service-0/orders";

/// One route, and 10,000.
pub(super) fn routes(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let few = Gateway::start(setting, &many_routes(1))?;
    let many = Gateway::start(setting, &many_routes(10_000))?;
    let what = "request with 10,000 routes, to that with 1 (CPU)";
    Ok(vec![compare(setting, what, &few, &many)?])
}

/// Routes to the origin that differ in the first segment.
pub(super) fn many_routes(count: usize) -> String {
    let one = |n| route(&format!("r{n}"), &format!("/service-{n}/{{*rest}}"), "");
    (0..count).map(one).collect()
}

/// One plugin, and 1,000; the request goes through one.
pub(super) fn plugins(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let few = with_plugins(setting, 1)?;
    let many = with_plugins(setting, 1_000)?;
    let what = "request with 1,000 plugins, to that with 1 (CPU)";
    Ok(vec![compare(setting, what, &few, &many)?])
}

fn with_plugins(setting: &Setting<'_>, count: usize) -> Result<Gateway> {
    let names: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
    let folder = tempfile::tempdir()?;
    copies(folder.path(), &artifacts::component("headers")?, &names)?;
    let one = |(n, name): (usize, &String)| {
        let config = "config = { request = { set = { x-bench-0 = \"1\" } } }";
        let plugin = format!("[plugins.{name}]\nisolation = \"worker\"\n{config}\n");
        plugin + &route(name, &format!("/service-{n}/{{*rest}}"), &format!("\"{name}\""))
    };
    let text: String = names.iter().enumerate().map(one).collect();
    let gateway = Gateway::start_in(setting, folder, &text)?;
    let answer = gateway.ask(PATH)?;
    if !answer.head.contains("x-seen-x-bench-0: 1") {
        bail!("the filter did not run:\n{}", answer.head);
    }
    Ok(gateway)
}

fn compare(setting: &Setting<'_>, what: &str, few: &Gateway, many: &Gateway) -> Result<Figure> {
    let ask = Ask::to(PATH);
    let turn =
        |gateway: &Gateway| Ok::<_, anyhow::Error>(gateway.turn(&ask, Pace::Closed, TURN)?.0);
    turn(few)?;
    turn(many)?;
    let mut ratios = Vec::new();
    for _ in 0..setting.rounds {
        let (before, of_many, after) = (turn(few)?, turn(many)?, turn(few)?);
        ratios.push(of_many * 2.0 / (before + after));
    }
    Ok(Figure { what: what.to_owned(), value: quantile(ratios, 0.5), goal: FLAT, unit: "" })
}
