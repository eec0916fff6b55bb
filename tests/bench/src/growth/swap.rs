//! What requests notice of a swap.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};

use super::{
    Figure, Setting,
    gateway::{Gateway, route},
};
use crate::{
    artifacts,
    ask::Ask,
    contestants::edgewit::{header_filter, plugin},
    load::{Pace, Target},
    report::quantile,
};

/// Requests a second, well below what the slowest build can do.
const RATE: f64 = 2_000.0;
const TURN: Duration = Duration::from_secs(2);
/// From one swap to the next.
const PAUSE: Duration = Duration::from_millis(250);
const GOAL: f64 = 1.5;
const PATH: &str = "/service-0/orders";

/// The 99th percentile with four swaps a second, to that without.
pub(super) fn figures(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let text = plugin("headers", "worker") + &route("all", "/{*rest}", &header_filter(0));
    let gateway = Gateway::start(setting, &text)?;
    let ask = Ask::to(PATH);
    let pace = Pace::Open(RATE);
    gateway.turn(&ask, pace, TURN)?;
    // Both versions are in the cache afterwards.
    swapping(&gateway, || {
        std::thread::sleep(TURN);
        Ok(())
    })?;
    let mut ratios = Vec::new();
    let mut swaps = 0;
    for _ in 0..setting.rounds {
        let before = gateway.turn(&ask, pace, TURN)?.1;
        let (during, count) = swapping(&gateway, || Ok(gateway.turn(&ask, pace, TURN)?.1))?;
        let after = gateway.turn(&ask, pace, TURN)?.1;
        ratios.push(during * 2.0 / (before + after));
        swaps += count;
    }
    let what = format!("p99 with {swaps} swaps, to that without");
    Ok(vec![Figure { what, value: quantile(ratios, 0.5), goal: GOAL, unit: "" }])
}

/// Does something while two versions take turns. Says how many swaps there were.
fn swapping<T>(gateway: &Gateway, act: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let before = swaps(gateway)?;
    let stop = Arc::new(AtomicBool::new(false));
    let thread = {
        let (stop, folder) = (Arc::clone(&stop), gateway.folder.path().join("plugins"));
        let component = fs::read(artifacts::component("headers")?)?;
        std::thread::spawn(move || -> Result<()> {
            for version in (0..2).cycle() {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                // A custom section at the end makes another digest and changes nothing else.
                let section = [0, 3, 1, b'v', version];
                fs::write(folder.join("next"), [component.as_slice(), &section].concat())?;
                fs::rename(folder.join("next"), folder.join("headers.wasm"))?;
                std::thread::sleep(PAUSE);
            }
            Ok(())
        })
    };
    let done = act();
    stop.store(true, Ordering::Relaxed);
    thread.join().map_err(|_| anyhow::anyhow!("the swapping thread panicked"))??;
    let count = swaps(gateway)? - before;
    if count == 0 {
        bail!("no version was swapped");
    }
    Ok((done?, count))
}

/// Swaps that went well so far.
fn swaps(gateway: &Gateway) -> Result<u64> {
    let answer = Target { address: gateway.admin, tls: None }.ask(&Ask::to("/metrics"))?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let well = |line: &&str| line.starts_with(SWAPS) && line.contains("result=\"swapped\"");
    let count = text.lines().find(well).and_then(|line| line.rsplit(' ').next()?.parse().ok());
    Ok(count.unwrap_or(0))
}

const SWAPS: &str = "edgewit_plugin_swaps_total{plugin=\"headers\"";
