//! What has grown, and what has failed?

use std::{fmt, time::Duration};

use crate::sample::Sample;

/// What came of a soak.
#[derive(Debug)]
pub struct Report {
    /// From the first measurement to the last.
    pub took: Duration,
    /// When it was warm and quiet.
    pub start: Sample,
    /// When it was quiet again.
    pub end: Sample,
    /// Requests of honest clients, with those of the warm-up, as are the numbers below.
    pub requests: u64,
    /// Exchanges and connections that were not honest.
    pub hostile: u64,
    /// Times that another version of the filter has served.
    pub swaps: u64,
    /// Configurations that went live.
    pub reloads: u64,
    /// Versions that were refused, as they should be.
    pub refused: u64,
    /// Honest requests that were not answered as they should be, hostile ones that were, and panics.
    pub failed: Vec<String>,
}

/// One line of the table.
struct Row {
    name: &'static str,
    start: u64,
    end: u64,
    bound: u64,
    show: fn(u64) -> String,
}

/// Connections to upstreams that stay open for a while are as many as there were requests at a time.
const MORE_FILES: u64 = 16;
/// Threads that wait for work stay for some seconds; as many may have had something to do at a time.
const MORE_THREADS: u64 = 8;

impl Report {
    fn rows(&self) -> Vec<Row> {
        let Self { start, end, .. } = self;
        let tenth = |value: u64| value + value / 10;
        let count: fn(u64) -> String = |value| value.to_string();
        let row = |name, start, end, bound| Row { name, start, end, bound, show: count };
        let memory = row("resident memory", start.memory, end.memory, tenth(start.memory));
        vec![
            Row { show: mebibytes, ..memory },
            row("open files", start.files, end.files, start.files + MORE_FILES),
            row("threads", start.threads, end.threads, start.threads + MORE_THREADS),
            row("processes", start.children, end.children, 0),
            row("instances", start.instances, end.instances, 0),
            row("active requests", start.requests, end.requests, 0),
            row("metric series", start.series, end.series, tenth(start.series)),
        ]
    }

    /// What broke its bound, and what failed.
    pub fn broken(&self) -> Vec<String> {
        let rows = self.rows();
        let grown = rows.iter().filter(|row| row.end > row.bound).map(|row| {
            format!("{}: {}, bound {}", row.name, (row.show)(row.end), (row.show)(row.bound))
        });
        grown.chain(self.failed.iter().cloned()).collect()
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { took, requests, hostile, swaps, reloads, refused, failed, .. } = self;
        writeln!(
            f,
            "{} s: {requests} honest requests, {hostile} hostile ones, {swaps} swaps, {reloads} reloads, \
             {refused} versions refused; {} failures",
            took.as_secs(),
            failed.len()
        )?;
        writeln!(f, "{:<18}{:>12}{:>12}{:>12}", "", "start", "end", "bound")?;
        for row in self.rows() {
            let [start, end, bound] = [row.start, row.end, row.bound].map(row.show);
            writeln!(f, "{:<18}{start:>12}{end:>12}{bound:>12}", row.name)?;
        }
        let broken = self.broken();
        broken.iter().try_for_each(|what| writeln!(f, "broken: {what}"))?;
        f.write_str(if broken.is_empty() { "all bounds held" } else { "some bounds did not hold" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(end: Sample, failed: &[&str]) -> Report {
        let start = Sample { memory: 100 << 20, files: 20, series: 500, ..Sample::default() };
        let failed = failed.iter().map(|text| (*text).to_owned()).collect();
        let took = Duration::from_secs(1);
        let (requests, hostile, swaps, reloads, refused) = (1, 1, 1, 1, 1);
        Report { took, start, end, requests, hostile, swaps, reloads, refused, failed }
    }

    #[test]
    fn what_grows_beyond_its_bound_is_named() {
        let held = Sample { memory: 110 << 20, files: 36, series: 550, ..Sample::default() };
        assert!(report(held, &[]).broken().is_empty());
        assert!(report(held, &[]).to_string().ends_with("all bounds held"));
        let grown = Sample { memory: 111 << 20, files: 37, instances: 1, ..held };
        let broken = report(grown, &["a request"]).broken();
        assert_eq!(broken.len(), 4, "{broken:?}");
        assert_eq!(broken[0], "resident memory: 111.0 MiB, bound 110.0 MiB");
    }
}
