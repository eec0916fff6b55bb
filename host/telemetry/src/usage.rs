//! What the calls of one plugin really used, for those who set its limits.

use std::sync::Arc;

use crate::{
    families::{self, Family},
    metrics::{Histogram, Metrics},
};

/// What the calls of one plugin used, in all routes and versions that serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Units of fuel of one call.
    pub fuel: Spread,
    /// Nanoseconds of one call.
    pub time_ns: Spread,
    /// Largest linear memory of any instance so far, in bytes.
    pub memory_max: u64,
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

impl Metrics {
    /// What the calls of a plugin used since it was loaded. Reads every series of it: for humans, not for each request.
    pub fn usage(&self, plugin: &str) -> Usage {
        let histograms = |family: &Family| -> Vec<Histogram> {
            self.of_plugin(family, plugin).map(Histogram::of).collect()
        };
        let memory = self.of_plugin(&families::FILTER_MEMORY_PEAK, plugin);
        Usage {
            fuel: Spread::of(&histograms(&families::FILTER_FUEL)),
            time_ns: Spread::of(&histograms(&families::FILTER_DURATION)),
            memory_max: memory.map(|series| series.level()).max().unwrap_or(0),
        }
    }

    fn of_plugin(
        &self,
        family: &Family,
        plugin: &str,
    ) -> impl Iterator<Item = Arc<crate::metrics::Series>> {
        let alive = self.alive(family.name);
        alive
            .into_iter()
            .filter(move |(labels, _)| labels.iter().any(|(n, v)| *n == "plugin" && v == plugin))
            .map(|(_, series)| series)
    }
}

impl Spread {
    /// Over all values of histograms of one family.
    fn of(histograms: &[Histogram]) -> Self {
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
        let memory = metrics.gauge(&families::FILTER_MEMORY_PEAK, &[("plugin", "jwt")]);
        memory.raise(1 << 20);
        let usage = metrics.usage("jwt");
        assert_eq!((usage.fuel.count, usage.fuel.max), (100, 1_234_567));
        assert!((400..=900).contains(&usage.fuel.p50), "{usage:?}");
        assert!((10_000..=50_000).contains(&usage.fuel.p99), "{usage:?}");
        assert_eq!(usage.time_ns, Spread { count: 1, p50: 80_000, p99: 80_000, max: 80_000 });
        assert_eq!(usage.memory_max, 1 << 20);
    }

    #[test]
    fn a_plugin_without_calls_used_nothing() {
        let nothing = Usage { fuel: Spread::default(), time_ns: Spread::default(), memory_max: 0 };
        assert_eq!(Metrics::new(1).usage("jwt"), nothing);
    }

    #[test]
    fn values_beyond_the_last_bucket_end_at_the_maximum() {
        let metrics = Metrics::new(1);
        let time = metrics.histogram(&families::FILTER_DURATION, &[("plugin", "slow")]);
        for seconds in [1, 2, 3] {
            time.observe_duration(Duration::from_secs(seconds));
        }
        let spread = metrics.usage("slow").time_ns;
        assert_eq!(spread.max, 3_000_000_000);
        assert!(spread.p50 <= spread.p99 && spread.p99 <= spread.max, "{spread:?}");
    }
}
