//! What the calls of plugins really used, for those who set their limits.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    families::{self, Family},
    metrics::{Histogram, Labels, Metrics, Series},
};

/// What calls of one plugin used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Units of fuel of one call.
    pub fuel: Spread,
    /// Nanoseconds of one call.
    pub time_ns: Spread,
    /// Bytes of linear memory that an instance had after a call.
    pub memory: Spread,
}

/// What the calls of one plugin used, in all routes that serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginUsage {
    /// All versions together.
    pub all: Usage,
    /// Each version that a route uses, or that a request still runs in.
    pub versions: BTreeMap<String, Usage>,
}

/// How values spread. The percentiles are interpolated between the buckets of a histogram, the maximum is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    /// Values that were counted; the others are 0 if there was none.
    pub count: u64,
    /// Half of the values are at most this.
    pub p50: u64,
    /// 99 of 100 values are at most this.
    pub p99: u64,
    /// The largest value.
    pub max: u64,
}

/// Histograms of one family, by the version whose calls are in them.
type ByVersion = BTreeMap<String, Vec<Histogram>>;

impl Metrics {
    /// What the calls of a plugin used since it was loaded. Reads every series of filters: for humans, not for each request.
    pub fn usage(&self, plugin: &str) -> PluginUsage {
        self.usages_of(|name| name == plugin).remove(plugin).unwrap_or_default()
    }

    /// The same of all plugins that were called.
    pub fn usages(&self) -> BTreeMap<String, PluginUsage> {
        self.usages_of(|_| true)
    }

    fn usages_of(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, PluginUsage> {
        let mut all = BTreeMap::new();
        let mut take = |family: &Family, put: fn(&mut Usage, Spread)| {
            for (plugin, versions) in self.by_plugin(family, &wanted) {
                let usage: &mut PluginUsage = all.entry(plugin).or_default();
                put(&mut usage.all, Spread::of(versions.values().flatten()));
                for (version, histograms) in versions {
                    put(usage.versions.entry(version).or_default(), Spread::of(&histograms));
                }
            }
        };
        take(&families::FILTER_FUEL, |usage, spread| usage.fuel = spread);
        take(&families::FILTER_DURATION, |usage, spread| usage.time_ns = spread);
        take(&families::FILTER_MEMORY, |usage, spread| usage.memory = spread);
        all
    }

    fn by_plugin(
        &self,
        family: &Family,
        wanted: &impl Fn(&str) -> bool,
    ) -> BTreeMap<String, ByVersion> {
        let mut found: BTreeMap<String, ByVersion> = BTreeMap::new();
        for (mut labels, series) in self.alive(family.name) {
            let Some(plugin) = take_label(&mut labels, "plugin").filter(|name| wanted(name)) else {
                continue;
            };
            let version = take_label(&mut labels, "version").unwrap_or_default();
            let versions = found.entry(plugin).or_default();
            versions.entry(version).or_default().push(Histogram::of(series));
        }
        found
    }

    /// How often calls were stopped since their plugins were loaded.
    pub fn stops(&self) -> Vec<Stops> {
        let stops = |(mut labels, series): (Labels, Arc<Series>)| {
            let mut label = |name| take_label(&mut labels, name).unwrap_or_default();
            let (plugin, version) = (label("plugin"), label("version"));
            Stops { plugin, version, reason: label("reason"), count: series.sum() }
        };
        self.alive(families::FILTER_STOPS.name).into_iter().map(stops).collect()
    }
}

/// Calls of one version of a plugin that were stopped for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stops {
    /// The plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Why, as the metric says it.
    pub reason: String,
    /// How often.
    pub count: u64,
}

fn take_label(labels: &mut [(&'static str, String)], name: &str) -> Option<String> {
    labels.iter_mut().find(|(n, _)| *n == name).map(|(_, value)| std::mem::take(value))
}

impl Spread {
    /// Over all values of histograms of one family.
    fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let mut buckets: Vec<(u64, u64)> = Vec::new(); // upper bound, values
        let mut max = 0;
        for histogram in histograms {
            max = max.max(histogram.max());
            for (at, (bound, count)) in histogram.buckets().enumerate() {
                match buckets.get_mut(at) {
                    Some(bucket) => bucket.1 += count,
                    None => buckets.push((bound, count)),
                }
            }
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        let at = |percent| quantile(&buckets, count, percent).min(max);
        Self { count, p50: at(50), p99: at(99), max }
    }
}

/// The value below which so many of 100 values are, if those of a bucket spread evenly over it.
fn quantile(buckets: &[(u64, u64)], count: u64, percent: u64) -> u64 {
    let mut left = count.saturating_mul(percent).div_ceil(100);
    let mut lower = 0;
    for (upper, values) in buckets {
        if *values >= left && left > 0 {
            let width = u128::from(upper.saturating_sub(lower));
            let part = width * u128::from(left) / u128::from(*values);
            return lower.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
        }
        left = left.saturating_sub(*values);
        lower = *upper;
    }
    0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_spread_is_over_all_series_of_one_plugin() {
        let metrics = Metrics::new(2);
        let fuel = |route: &str, plugin: &str| {
            metrics.histogram(&families::FILTER_FUEL, &[("route", route), ("plugin", plugin)])
        };
        let (one, two, other) = (fuel("one", "jwt"), fuel("two", "jwt"), fuel("one", "cors"));
        for n in 0..98 {
            if n % 2 == 0 { one.observe(700) } else { two.observe(900) }
        }
        two.observe(40_000);
        two.observe(1_234_567);
        other.observe(9_999_999);
        let time = metrics.histogram(&families::FILTER_DURATION, &[("plugin", "jwt")]);
        time.observe_duration(Duration::from_micros(80));
        let memory = metrics.histogram(&families::FILTER_MEMORY, &[("plugin", "jwt")]);
        memory.observe(1 << 20);
        let usage = metrics.usage("jwt").all;
        assert_eq!((usage.fuel.count, usage.fuel.max), (100, 1_234_567));
        assert!((400..=900).contains(&usage.fuel.p50), "{usage:?}");
        assert!((10_000..=50_000).contains(&usage.fuel.p99), "{usage:?}");
        assert_eq!(usage.time_ns, Spread { count: 1, p50: 80_000, p99: 80_000, max: 80_000 });
        assert_eq!((usage.memory.p50, usage.memory.max), (1 << 20, 1 << 20));
        assert_eq!(metrics.usages().len(), 2);
    }

    #[test]
    fn versions_are_told_apart_and_together() {
        let metrics = Metrics::new(1);
        let fuel = |version: &str| {
            let labels = [("route", "a"), ("plugin", "jwt"), ("version", version)];
            metrics.histogram(&families::FILTER_FUEL, &labels)
        };
        let (old, new) = (fuel("1"), fuel("2"));
        old.observe(900);
        new.observe(40_000);
        new.observe(40_000);
        let PluginUsage { all, versions } = metrics.usage("jwt");
        assert_eq!((all.fuel.count, all.fuel.max), (3, 40_000));
        assert_eq!((versions["1"].fuel.max, versions["2"].fuel.count), (900, 2));
    }

    #[test]
    fn stops_are_told_by_version_and_reason() {
        let metrics = Metrics::new(1);
        let labels = [("plugin", "jwt"), ("version", "1"), ("reason", "fuel")];
        let counter = metrics.counter(&families::FILTER_STOPS, &labels);
        counter.add(3);
        let [plugin, version, reason] = ["jwt", "1", "fuel"].map(str::to_owned);
        assert_eq!(metrics.stops(), [Stops { plugin, version, reason, count: 3 }]);
    }

    #[test]
    fn a_plugin_without_calls_used_nothing() {
        assert_eq!(Metrics::new(1).usage("jwt"), PluginUsage::default());
    }

    #[test]
    fn values_beyond_the_last_bucket_end_at_the_maximum() {
        let metrics = Metrics::new(1);
        let time = metrics.histogram(&families::FILTER_DURATION, &[("plugin", "slow")]);
        for seconds in [1, 2, 3] {
            time.observe_duration(Duration::from_secs(seconds));
        }
        let spread = metrics.usage("slow").all.time_ns;
        assert_eq!(spread.max, 3_000_000_000);
        assert!(spread.p50 <= spread.p99 && spread.p99 <= spread.max, "{spread:?}");
    }
}
