//! All series of the host.

mod handle;

mod exposition;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicU64},
};

use prometheus_client::{encoding::text, registry::Registry};

use crate::{
    cells::Cells,
    families::{Buckets, Family, Kind},
    plugin_metrics::PluginMetrics,
    refresh::{Refresh, Sources},
};

use exposition::Exposition;
pub use handle::{Counter, Gauge, Histogram, Info, UpDown};

/// Content type of [`Metrics::text`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All series of the host and of its plugins.
///
/// A series lives as long as anybody holds a handle to it: what belongs to a route that is gone disappears, and asking
/// again for the same labels while a handle is alive gives the same series, so that numbers survive a reload.
#[derive(Debug)]
pub struct Metrics {
    shards: usize,
    series: Mutex<BTreeMap<&'static str, Known>>,
    plugins: Arc<PluginMetrics>,
    sources: Sources,
}

pub(crate) type Labels = Vec<(&'static str, String)>;

/// The series of one family.
#[derive(Debug, Default)]
struct Known {
    by_labels: BTreeMap<Labels, Weak<Series>>,
    /// So many were alive when those that nobody holds were last taken out.
    alive: usize,
}

impl Known {
    /// Takes out those that nobody holds, when there may be as many of them as of the others. To look for them at each new
    /// series would make ten thousand routes wait for each other.
    fn insert(&mut self, labels: Labels, series: &Arc<Series>) {
        if self.by_labels.len() >= 2 * self.alive.max(SWEPT) {
            self.sweep();
        }
        self.by_labels.insert(labels, Arc::downgrade(series));
    }

    fn sweep(&mut self) {
        self.by_labels.retain(|_, series| series.strong_count() > 0);
        self.alive = self.by_labels.len();
    }
}

/// Fewer series than this are not swept for a new one.
const SWEPT: usize = 32;

#[derive(Debug)]
pub(crate) enum Series {
    Sum(Cells),
    Level(AtomicU64),
    Histogram(Cells, Buckets),
}

impl Metrics {
    /// No series yet. `workers` threads will call [`enter_worker`](crate::enter_worker) with an index below it.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: workers.saturating_add(1),
            series: Mutex::default(),
            plugins: Arc::new(PluginMetrics::new()),
            sources: Sources::default(),
        })
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards
    }

    /// The metrics that plugins write about themselves.
    pub fn plugins(&self) -> &Arc<PluginMetrics> {
        &self.plugins
    }

    /// A counter of a family.
    pub fn counter(&self, family: &'static Family, labels: &[(&'static str, &str)]) -> Counter {
        Counter(self.series(family, labels, || Series::Sum(Cells::new(1, self.shards))))
    }

    /// A gauge of a family that many threads count up and down.
    pub fn up_down(&self, family: &'static Family, labels: &[(&'static str, &str)]) -> UpDown {
        UpDown(self.series(family, labels, || Series::Sum(Cells::new(1, self.shards))))
    }

    /// A gauge of a family that is set.
    pub fn gauge(&self, family: &'static Family, labels: &[(&'static str, &str)]) -> Gauge {
        Gauge(self.series(family, labels, || Series::Level(AtomicU64::new(0))))
    }

    /// A histogram of a family.
    pub fn histogram(&self, family: &'static Family, labels: &[(&'static str, &str)]) -> Histogram {
        let buckets = match family.kind {
            Kind::Histogram(buckets) => buckets,
            _ => Buckets { bounds: &[], scale: 1.0 },
        };
        let cells = buckets.bounds.len() + 3; // with the last bucket, which has no bound, the sum and the maximum
        let make = || Series::Histogram(Cells::new(cells, self.shards), buckets);
        Histogram(self.series(family, labels, make))
    }

    /// Something that is there as long as the result is held.
    pub fn info(&self, family: &'static Family, labels: &[(&'static str, &str)]) -> Info {
        Info(self.series(family, labels, || Series::Level(AtomicU64::new(1))))
    }

    fn series(
        &self,
        family: &'static Family,
        labels: &[(&'static str, &str)],
        make: impl FnOnce() -> Series,
    ) -> Arc<Series> {
        let labels: Labels = labels.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        let mut families = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(family.name).or_default();
        if let Some(series) = family.by_labels.get(&labels).and_then(Weak::upgrade) {
            return series;
        }
        let series = Arc::new(make());
        family.insert(labels, &series);
        series
    }

    /// From now on this is asked for its numbers before each exposition, as long as it lives. It sets gauges; one of a
    /// family that only grows is exported as a counter.
    pub fn refresh_with(&self, source: Weak<dyn Refresh>) {
        self.sources.add(source);
    }

    /// The exposition in the OpenMetrics text format.
    pub fn text(self: &Arc<Self>) -> String {
        self.sources.refresh();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposition(Arc::clone(self))));
        let mut out = String::new();
        match text::encode(&mut out, &registry) {
            Ok(()) => out,
            Err(fmt::Error) => String::new(), // writing into a string does not fail
        }
    }

    pub(crate) fn alive(&self, name: &str) -> Vec<(Labels, Arc<Series>)> {
        let mut families = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(family) = families.get_mut(name) else { return Vec::new() };
        family.sweep();
        let alive = |(labels, series): (&Labels, &Weak<Series>)| {
            series.upgrade().map(|series| (labels.clone(), series))
        };
        family.by_labels.iter().filter_map(alive).collect()
    }
}

impl Series {
    /// The number of a counter.
    pub(crate) fn sum(&self) -> u64 {
        match self {
            Series::Sum(cells) => cells.sum(0),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::families;

    #[test]
    fn each_kind_is_exported() {
        let metrics = Metrics::new(2);
        let retries = metrics.counter(&families::RETRIES, &[("result", "ok")]);
        retries.add(3);
        let active = metrics.up_down(&families::SERVER_ACTIVE_REQUESTS, &[]);
        active.up();
        active.up();
        active.down();
        let generation = metrics.gauge(&families::CONFIG_GENERATION, &[]);
        generation.set(4);
        generation.raise(2);
        let _build = metrics.info(&families::BUILD_INFO, &[("version", "1.0")]);
        let time = metrics.histogram(&families::FILTER_DURATION, &[("plugin", "a")]);
        time.observe_duration(Duration::from_micros(7));
        time.observe_duration(Duration::from_secs(1));
        let text = metrics.text();
        for line in [
            r#"edgewit_retries_total{result="ok"} 3"#,
            "http_server_active_requests 1",
            "edgewit_config_generation 4",
            r#"edgewit_build_info{version="1.0"} 1"#,
            r#"edgewit_filter_duration_seconds_bucket{le="0.000005",plugin="a"} 0"#,
            r#"edgewit_filter_duration_seconds_bucket{le="0.00001",plugin="a"} 1"#,
            r#"edgewit_filter_duration_seconds_bucket{le="+Inf",plugin="a"} 2"#,
            r#"edgewit_filter_duration_seconds_sum{plugin="a"} 1.000007"#,
            "# EOF",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn series_that_nobody_holds_do_not_add_up() {
        let metrics = Metrics::new(1);
        let make = |n: usize| metrics.counter(&families::RETRIES, &[("result", &n.to_string())]);
        let held: Vec<_> = (0..100).map(make).collect();
        let kept = || metrics.series.lock().unwrap()[families::RETRIES.name].by_labels.len();
        for n in 100..10_000 {
            make(n);
            assert!(kept() <= 200, "{} after {n}", kept());
        }
        assert_eq!(metrics.alive(families::RETRIES.name).len(), held.len());
        assert_eq!(kept(), held.len());
    }

    #[test]
    fn the_same_labels_are_the_same_series_as_long_as_it_is_held() {
        let metrics = Metrics::new(1);
        let old = metrics.counter(&families::RETRIES, &[("result", "ok")]);
        old.increment();
        let new = metrics.counter(&families::RETRIES, &[("result", "ok")]);
        drop(old);
        new.increment();
        assert_eq!(new.get(), 2);
        drop(new);
        assert!(!metrics.text().contains("edgewit_retries"));
        assert_eq!(metrics.counter(&families::RETRIES, &[("result", "ok")]).get(), 0);
    }
}
