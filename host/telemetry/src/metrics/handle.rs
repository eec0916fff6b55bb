//! What those hold who count: each is one series.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::Series;

/// A number that only grows.
#[derive(Debug, Clone)]
pub struct Counter(pub(super) Arc<Series>);

/// A number that goes up and down, counted by many threads.
#[derive(Debug, Clone)]
pub struct UpDown(pub(super) Arc<Series>);

/// A number that is set.
#[derive(Debug, Clone)]
pub struct Gauge(pub(super) Arc<Series>);

/// A distribution.
#[derive(Debug, Clone)]
pub struct Histogram(pub(super) Arc<Series>);

/// Something that is there as long as this is held.
#[derive(Debug, Clone)]
pub struct Info(#[expect(dead_code, reason = "keeps the series alive")] pub(super) Arc<Series>);

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
