//! The metrics that plugins write about themselves, the store behind `wit/metrics.wit`.

mod owner;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use edgewit_model::{PluginName, RouteName};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::families::SECONDS;

use owner::Owner;

/// The metrics of all plugins. A plugin's series are exported as long as anybody holds its [`PluginSeries`].
#[derive(Debug, Default)]
pub struct PluginMetrics {
    plugins: Mutex<BTreeMap<Owner, Weak<PluginSeries>>>,
}

/// The metrics of one plugin, shared by all its instances and versions.
#[derive(Debug)]
pub struct PluginSeries {
    owner: Owner,
    table: RwLock<Table>,
    dropped: AtomicU64,
    log_dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    series: HashMap<Box<str>, Arc<Series>>,
    kinds: HashMap<Box<str>, Kind>,
}

#[derive(Debug)]
struct Series {
    name: Box<str>,
    labels: Vec<(String, String)>,
    value: Value,
}

/// The series of one name, by the plugin that wrote them.
type Written = Vec<(Owner, Arc<Series>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
enum Value {
    Counter(AtomicU64),
    Gauge(AtomicU64),
    Histogram { buckets: Box<[AtomicU64]>, sum: AtomicU64 },
}

/// Series of one plugin, as `wit/metrics.wit` promises.
const MAX_SERIES: usize = 1_000;
/// Labels of one series: three or four are common, and each multiplies.
const MAX_LABELS: usize = 16;
/// Bytes of a metric's or label's name.
const MAX_NAME: usize = 64;
/// Bytes of a label's value.
const MAX_LABEL_VALUE: usize = 128;
/// Labels that the host itself writes.
const HOST_LABELS: [&str; 2] = ["plugin", "le"];
/// Names that, exported, would look like the host's own.
const HOST_NAMES: [&str; 8] = [
    "info",
    "swaps",
    "swaps_total",
    "metrics_dropped",
    "metrics_dropped_total",
    "swaps_created",
    "log_dropped",
    "log_dropped_total",
];

impl PluginMetrics {
    /// No plugin yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The series of a plugin: the ones that are there, if anybody still holds them.
    pub fn plugin(&self, name: &PluginName) -> Arc<PluginSeries> {
        self.series_of(Owner { plugin: name.clone(), route: None })
    }

    /// The series that a plugin has in one route alone. They carry the label `route`; one of the plugin's own by that name is
    /// left out.
    pub fn plugin_in(&self, name: &PluginName, route: &RouteName) -> Arc<PluginSeries> {
        self.series_of(Owner { plugin: name.clone(), route: Some(route.clone()) })
    }

    fn series_of(&self, owner: Owner) -> Arc<PluginSeries> {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.retain(|_, series| series.strong_count() > 0);
        if let Some(series) = plugins.get(&owner).and_then(Weak::upgrade) {
            return series;
        }
        let series = Arc::new(PluginSeries::new(owner.clone()));
        plugins.insert(owner, Arc::downgrade(&series));
        series
    }

    fn alive(&self) -> Vec<Arc<PluginSeries>> {
        let plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.values().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let plugins = self.alive();
        encode_dropped(
            "edgewit_plugin_metrics_dropped",
            "Values of plugins' own metrics that were invalid or beyond their bounds",
            PluginSeries::dropped,
            &plugins,
            encoder,
        )?;
        encode_dropped(
            "edgewit_plugin_log_dropped",
            "Lines that plugins logged or printed beyond their bounds",
            PluginSeries::log_dropped,
            &plugins,
            encoder,
        )?;
        let mut families: BTreeMap<(Box<str>, Kind), Written> = BTreeMap::new();
        for plugin in &plugins {
            let table = plugin.table.read().unwrap_or_else(PoisonError::into_inner);
            for series in table.series.values() {
                let family = families.entry((series.name.clone(), series.value.kind()));
                family.or_default().push((plugin.owner.clone(), Arc::clone(series)));
            }
        }
        let mut taken = HashSet::new();
        for ((name, kind), all) in families {
            // Two plugins may use one name for different kinds; neither may hide the other's.
            let Some(name) = claim(&name, kind, &mut taken) else { continue };
            let mut family =
                encoder.encode_descriptor(&name, "Written by plugins", None, kind.exported())?;
            for (owner, series) in all {
                let mut labels = owner.labels();
                labels.extend(series.labels.iter().cloned());
                series.value.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl PluginSeries {
    fn new(owner: Owner) -> Self {
        let (dropped, log_dropped) = Default::default();
        Self { owner, table: RwLock::default(), dropped, log_dropped }
    }

    /// Adds to a counter, creating it at 0.
    pub fn add(&self, name: &str, labels: &[(&str, &str)], amount: u64) {
        self.with(name, labels, Kind::Counter, |value| {
            if let Value::Counter(count) = value {
                count.fetch_add(amount, Relaxed);
            }
        });
    }

    /// Sets a gauge. Infinities and what is no number are dropped.
    pub fn set(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        if !value.is_finite() {
            return self.count_dropped();
        }
        self.with(name, labels, Kind::Gauge, |v| {
            if let Value::Gauge(bits) = v {
                bits.store(value.to_bits(), Relaxed);
            }
        });
    }

    /// Counts a value into a histogram with buckets from 0.005 to 10. Infinities and what is no number are dropped.
    pub fn observe(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        if !value.is_finite() {
            return self.count_dropped();
        }
        self.with(name, labels, Kind::Histogram, |v| {
            if let Value::Histogram { buckets, sum } = v {
                let index = SECONDS.partition_point(|bound| *bound < value);
                if let Some(bucket) = buckets.get(index) {
                    bucket.fetch_add(1, Relaxed);
                }
                let _ = sum.fetch_update(Relaxed, Relaxed, |bits| {
                    Some((f64::from_bits(bits) + value).to_bits())
                });
            }
        });
    }

    /// How many values were dropped: invalid, beyond the bounds, or of another kind than the name's first.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Counts a line of log that was dropped.
    pub fn drop_log_line(&self) {
        self.log_dropped.fetch_add(1, Relaxed);
    }

    /// How many lines of log were dropped: beyond what one exchange may log or print.
    pub fn log_dropped(&self) -> u64 {
        self.log_dropped.load(Relaxed)
    }

    fn count_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    fn with(&self, name: &str, labels: &[(&str, &str)], kind: Kind, change: impl FnOnce(&Value)) {
        let labels = &*self.owner.leave_out_ours(labels);
        let Some(key) = key(name, labels) else { return self.count_dropped() };
        let found = {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            table.series.get(key.as_str()).cloned()
        };
        match found.or_else(|| self.create(key, name, labels, kind)) {
            Some(series) if series.value.kind() == kind => change(&series.value),
            _ => self.count_dropped(),
        }
    }

    fn create(
        &self,
        key: String,
        name: &str,
        labels: &[(&str, &str)],
        kind: Kind,
    ) -> Option<Arc<Series>> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = table.series.get(key.as_str()) {
            return Some(Arc::clone(series));
        }
        if table.series.len() >= MAX_SERIES
            || table.kinds.get(name).is_some_and(|first| *first != kind)
        {
            return None;
        }
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let series = Arc::new(Series { name: name.into(), labels, value: Value::new(kind) });
        table.kinds.insert(name.into(), kind);
        table.series.insert(key.into(), Arc::clone(&series));
        Some(series)
    }
}

/// What tells this series from all others, whatever the order of its labels; `None` if a name or value is not valid.
fn key(name: &str, labels: &[(&str, &str)]) -> Option<String> {
    if !is_name(name) || HOST_NAMES.contains(&name) || labels.len() > MAX_LABELS {
        return None;
    }
    let mut sorted: Vec<_> = labels.to_vec();
    sorted.sort_unstable();
    let mut key = name.to_owned();
    let mut previous = "";
    for (label, value) in sorted {
        let ok = is_name(label) && !HOST_LABELS.contains(&label) && label != previous;
        if !ok || value.len() > MAX_LABEL_VALUE {
            return None;
        }
        previous = label;
        write!(key, ",{label}={}:{value}", value.len()).ok()?;
    }
    Some(key)
}

fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    text.len() <= MAX_NAME
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text.bytes().all(inner)
}

/// Finds a name for a family, none of whose samples is there already.
fn claim(name: &str, kind: Kind, taken: &mut HashSet<String>) -> Option<String> {
    let base = match kind {
        Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    let plain = format!("edgewit_plugin_{base}");
    let other = format!("{plain}_{}", kind.as_str());
    [plain, other].into_iter().find(|candidate| {
        let samples: Vec<String> =
            kind.suffixes().iter().map(|s| format!("{candidate}{s}")).collect();
        let free = samples.iter().all(|sample| !taken.contains(sample));
        if free {
            taken.extend(samples);
        }
        free
    })
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }

    /// The family's own name and those of its samples.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Kind::Counter => &["", "_total"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_sum", "_count"],
        }
    }

    fn exported(self) -> MetricType {
        match self {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        }
    }
}

impl Value {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Value::Counter(AtomicU64::new(0)),
            Kind::Gauge => Value::Gauge(AtomicU64::new(0)),
            Kind::Histogram => Value::Histogram {
                buckets: (0..=SECONDS.len()).map(|_| AtomicU64::new(0)).collect(),
                sum: AtomicU64::new(0),
            },
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Value::Counter(_) => Kind::Counter,
            Value::Gauge(_) => Kind::Gauge,
            Value::Histogram { .. } => Kind::Histogram,
        }
    }

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Value::Counter(count) => ConstCounter::new(count.load(Relaxed)).encode(encoder),
            Value::Gauge(bits) => {
                ConstGauge::new(f64::from_bits(bits.load(Relaxed))).encode(encoder)
            }
            Value::Histogram { buckets, sum } => {
                let bounds = SECONDS.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<_> = bounds.zip(buckets.iter().map(|b| b.load(Relaxed))).collect();
                let count = buckets.iter().map(|(_, n)| n).sum();
                let sum = f64::from_bits(sum.load(Relaxed));
                encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            }
        }
    }
}

fn encode_dropped(
    name: &str,
    help: &str,
    count: fn(&PluginSeries) -> u64,
    plugins: &[Arc<PluginSeries>],
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    if plugins.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for plugin in plugins {
        let labels = plugin.owner.labels();
        ConstCounter::new(count(plugin)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
