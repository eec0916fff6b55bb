//! All series of the host, and the handles that write them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use crate::{
    cells::Cells,
    families::{ALL, Buckets, Family, Kind},
    plugin_metrics::PluginMetrics,
    refresh::{Refresh, Sources},
};

/// Content type of [`Metrics::text`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All series of the host and of its plugins.
///
/// A series lives as long as anybody holds a handle to it: what belongs to a route that is gone disappears, and asking
/// again for the same labels while a handle is alive gives the same series, so that numbers survive a reload.
#[derive(Debug)]
pub struct Metrics {
    shards: usize,
    series: Mutex<BTreeMap<&'static str, Families>>,
    plugins: Arc<PluginMetrics>,
    sources: Sources,
}

pub(crate) type Labels = Vec<(&'static str, String)>;
type Families = BTreeMap<Labels, Weak<Series>>;

#[derive(Debug)]
pub(crate) enum Series {
    Sum(Cells),
    Level(AtomicU64),
    Histogram(Cells, Buckets),
}

/// A number that only grows.
#[derive(Debug, Clone)]
pub struct Counter(Arc<Series>);

/// A number that goes up and down, counted by many threads.
#[derive(Debug, Clone)]
pub struct UpDown(Arc<Series>);

/// A number that is set.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<Series>);

/// A distribution.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Series>);

/// Something that is there as long as this is held.
#[derive(Debug, Clone)]
pub struct Info(#[expect(dead_code, reason = "keeps the series alive")] Arc<Series>);

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
        if let Some(series) = family.get(&labels).and_then(Weak::upgrade) {
            return series;
        }
        let series = Arc::new(make());
        family.retain(|_, series| series.strong_count() > 0);
        family.insert(labels, Arc::downgrade(&series));
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
        family.retain(|_, series| series.strong_count() > 0);
        let alive = |(labels, series): (&Labels, &Weak<Series>)| {
            series.upgrade().map(|series| (labels.clone(), series))
        };
        family.iter().filter_map(alive).collect()
    }
}

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds.
    pub fn add(&self, amount: u64) {
        if let Series::Sum(cells) = &*self.0 {
            cells.add(0, amount);
        }
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        match &*self.0 {
            Series::Sum(cells) => cells.sum(0),
            _ => 0,
        }
    }
}

impl UpDown {
    /// One more.
    pub fn up(&self) {
        if let Series::Sum(cells) = &*self.0 {
            cells.add(0, 1);
        }
    }

    /// One less.
    pub fn down(&self) {
        if let Series::Sum(cells) = &*self.0 {
            cells.add(0, u64::MAX);
        }
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        match &*self.0 {
            Series::Sum(cells) => cells.sum(0),
            _ => 0,
        }
    }
}

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: u64) {
        if let Series::Level(level) = &*self.0 {
            level.store(value, Relaxed);
        }
    }

    /// Raises it to this, if it is lower.
    pub fn raise(&self, value: u64) {
        if let Series::Level(level) = &*self.0
            && level.load(Relaxed) < value
        {
            level.fetch_max(value, Relaxed);
        }
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        match &*self.0 {
            Series::Level(level) => level.load(Relaxed),
            _ => 0,
        }
    }
}

impl Histogram {
    /// Counts a value, in the unit that the family is documented with.
    pub fn observe(&self, value: u64) {
        if let Series::Histogram(cells, buckets) = &*self.0 {
            let bucket = buckets.bounds.partition_point(|bound| *bound < value);
            cells.add(bucket, 1);
            cells.add(buckets.bounds.len() + 1, value);
            cells.raise(buckets.bounds.len() + 2, value);
        }
    }

    /// Counts a duration into a family that is observed in nanoseconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        match &*self.0 {
            Series::Histogram(cells, buckets) => {
                (0..=buckets.bounds.len()).map(|bucket| cells.sum(bucket)).sum()
            }
            _ => 0,
        }
    }
}

impl Histogram {
    pub(crate) fn of(series: Arc<Series>) -> Self {
        Self(series)
    }

    /// The largest value that was counted.
    pub(crate) fn max(&self) -> u64 {
        match &*self.0 {
            Series::Histogram(cells, buckets) => cells.max(buckets.bounds.len() + 2),
            _ => 0,
        }
    }

    /// The upper bound of each bucket, the last of which has none, and how many values are in it.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let (cells, bounds) = match &*self.0 {
            Series::Histogram(cells, buckets) => (Some(cells), buckets.bounds),
            _ => (None, [].as_slice()),
        };
        let bounds = bounds.iter().copied().chain([u64::MAX]);
        bounds.enumerate().map(move |(at, bound)| (bound, cells.map_or(0, |c| c.sum(at))))
    }
}

impl Series {
    /// The number of a gauge.
    pub(crate) fn level(&self) -> u64 {
        match self {
            Series::Level(level) => level.load(Relaxed),
            _ => 0,
        }
    }
}

#[derive(Debug)]
struct Exposition(Arc<Metrics>);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for family in ALL {
            let series = self.0.alive(family.name);
            if series.is_empty() {
                continue;
            }
            let kind = exported_kind(family.kind);
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, series) in series {
                encode(&series, family.kind, &labels, &mut metric)?;
            }
        }
        self.0.plugins.encode(&mut encoder)
    }
}

fn exported_kind(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Info => MetricType::Info,
        Kind::Histogram(_) => MetricType::Histogram,
    }
}

fn encode(
    series: &Series,
    kind: Kind,
    labels: &Labels,
    metric: &mut MetricEncoder<'_>,
) -> fmt::Result {
    if kind == Kind::Info {
        return metric.encode_info(labels);
    }
    match labels.is_empty() {
        true => encode_value(series, kind, metric), // no empty braces
        false => encode_value(series, kind, &mut metric.encode_family(labels)?),
    }
}

fn encode_value(series: &Series, kind: Kind, metric: &mut MetricEncoder<'_>) -> fmt::Result {
    match (series, kind) {
        (Series::Sum(cells), Kind::Counter) => {
            metric.encode_counter::<NoLabelSet, u64, u64>(&cells.sum(0), None)
        }
        // Wrapped around where more went down than up.
        (Series::Sum(cells), _) => metric.encode_gauge(&cells.sum(0).cast_signed()),
        (Series::Level(level), Kind::Counter) => {
            metric.encode_counter::<NoLabelSet, u64, u64>(&level.load(Relaxed), None)
        }
        (Series::Level(level), _) => metric.encode_gauge(&level.load(Relaxed)),
        (Series::Histogram(cells, buckets), _) => {
            let bounds = buckets.bounds.iter().map(|bound| *bound as f64 / buckets.scale);
            let counts: Vec<(f64, u64)> = bounds
                .chain([f64::INFINITY])
                .enumerate()
                .map(|(cell, bound)| (bound, cells.sum(cell)))
                .collect();
            let count = counts.iter().map(|(_, n)| n).sum();
            let sum = cells.sum(buckets.bounds.len() + 1) as f64 / buckets.scale;
            metric.encode_histogram::<NoLabelSet>(sum, count, &counts, None)
        }
    }
}

#[cfg(test)]
mod tests {
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
