//! All series as text.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{Labels, Metrics, Series};
use crate::families::{ALL, Kind};

/// What an exposition is collected from.
#[derive(Debug)]
pub(super) struct Exposition(pub(super) Arc<Metrics>);

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
