//! An open loop: requests come when they come, whether those before were answered or not.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::task::JoinSet;

use super::{
    CONCURRENCY,
    h1::{Line, gather},
    micros,
};
use crate::ask::Ask;

/// Sends `rate` requests a second over all connections, each with its share at fixed intervals.
///
/// A request that is due while its connection is busy waits, and its time counts from when it was due: a server that
/// stalls cannot hide it by slowing the load down. What the clock of this process is late on an idle connection is not the
/// server's time and does not count.
pub(crate) async fn run(
    address: SocketAddr,
    ask: &Ask,
    rate: f64,
    turn: Duration,
) -> Result<Vec<u32>> {
    let interval = Duration::from_secs_f64(CONCURRENCY as f64 / rate);
    let mut ready = Vec::new();
    for _ in 0..CONCURRENCY {
        ready.push(Line::connect(address, ask).await?);
    }
    let begin = Instant::now();
    let mut lines = JoinSet::new();
    for (number, line) in (0..).zip(ready) {
        let first = begin + interval * number / CONCURRENCY as u32;
        lines.spawn_local(line_at(line, first, interval, begin + turn));
    }
    gather(lines).await
}

async fn line_at(
    mut line: Line,
    first: Instant,
    interval: Duration,
    end: Instant,
) -> Result<Vec<u32>> {
    let mut latencies = Vec::new();
    let mut due = first;
    while due < end {
        let begun = if Instant::now() < due {
            tokio::time::sleep_until(due.into()).await;
            Instant::now()
        } else {
            due
        };
        line.exchange().await?;
        latencies.push(micros(begun));
        due += interval;
    }
    Ok(latencies)
}
