//! Processor time and memory of processes, from `/proc`.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// Processor time that a process and its children have used so far, of all threads that are alive.
///
/// From `schedstat`, which counts nanoseconds; `stat` counts ticks of ten milliseconds.
pub(crate) fn time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for pid in family(pid) {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")?;
        for task in tasks {
            // A thread may end between the two reads.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let first = text.split_whitespace().next().unwrap_or_default();
            nanos += first.parse::<u64>().context("`schedstat` without a number")?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of a process and its children, in KiB.
pub(crate) fn memory(pid: u32) -> u64 {
    family(pid).into_iter().map(resident).sum()
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The process and its children: nginx serves in those.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    [pid].into_iter().chain(children.split_whitespace().filter_map(|c| c.parse().ok())).collect()
}
