//! What filters cost and why they were stopped, into metrics and the log.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use edgewit_chain::{CallReport, Observer, Outcome, Phase, Stop, StopReason};
use edgewit_model::{PluginName, RouteName};
use edgewit_telemetry::{Counter, Gauge, Histogram, Metrics, families};
use tokio::time::Instant;

/// Counts the calls of one filter in one route and writes an event for each stop. Hand it to the
/// [`Link`](edgewit_chain::Link) of the filter.
pub struct FilterObserver {
    metrics: Arc<Metrics>,
    route: RouteName,
    plugin: PluginName,
    version: String,
    /// Made when they occur first: few of all combinations ever do.
    durations: [[OnceLock<Histogram>; OUTCOMES]; Phase::ALL.len()],
    fuel: OnceLock<Histogram>,
    stops: [OnceLock<Counter>; StopReason::ALL.len()],
    memory: OnceLock<Histogram>,
    aside: OnceLock<Counter>,
    memory_peak: Gauge,
    events: Events,
}

const OUTCOMES: usize = 3;

impl FilterObserver {
    /// The observer of a version of a plugin in a route.
    pub fn new(
        metrics: &Arc<Metrics>,
        route: &RouteName,
        plugin: &PluginName,
        version: &str,
    ) -> Arc<Self> {
        let labels = [("plugin", plugin.as_str()), ("version", version)];
        Arc::new(Self {
            memory_peak: metrics.gauge(&families::FILTER_MEMORY_PEAK, &labels),
            metrics: Arc::clone(metrics),
            route: route.clone(),
            plugin: plugin.clone(),
            version: version.to_owned(),
            durations: Default::default(),
            fuel: OnceLock::new(),
            memory: OnceLock::new(),
            stops: Default::default(),
            aside: OnceLock::new(),
            events: Events::new(),
        })
    }

    fn count(&self, report: &CallReport) -> Option<()> {
        let outcomes = self.durations.get(report.phase as usize)?;
        let outcome = match report.outcome {
            Outcome::Proceed => 0,
            Outcome::Answer => 1,
            Outcome::Stop(_) => 2,
        };
        let duration = outcomes.get(outcome)?.get_or_init(|| self.duration(report));
        duration.observe_duration(report.duration);
        self.fuel.get_or_init(|| self.fuel()).observe(report.fuel);
        self.memory.get_or_init(|| self.memory()).observe(report.memory_peak);
        self.memory_peak.raise(report.memory_peak);
        Some(())
    }

    fn duration(&self, report: &CallReport) -> Histogram {
        let labels = [
            ("route", self.route.as_str()),
            ("plugin", self.plugin.as_str()),
            ("version", self.version.as_str()),
            ("phase", report.phase.as_str()),
            ("outcome", report.outcome.as_str()),
        ];
        self.metrics.histogram(&families::FILTER_DURATION, &labels)
    }

    fn fuel(&self) -> Histogram {
        let labels = [
            ("route", self.route.as_str()),
            ("plugin", self.plugin.as_str()),
            ("version", self.version.as_str()),
        ];
        self.metrics.histogram(&families::FILTER_FUEL, &labels)
    }

    fn memory(&self) -> Histogram {
        let labels = [("plugin", self.plugin.as_str()), ("version", self.version.as_str())];
        self.metrics.histogram(&families::FILTER_MEMORY, &labels)
    }

    fn stop_counter(&self, reason: StopReason) -> Counter {
        let labels = [
            ("plugin", self.plugin.as_str()),
            ("version", self.version.as_str()),
            ("reason", reason.as_str()),
        ];
        self.metrics.counter(&families::FILTER_STOPS, &labels)
    }
}

impl Observer for FilterObserver {
    fn called(&self, report: &CallReport) {
        let _ = self.count(report);
    }

    fn held(&self) {
        let reason = StopReason::Quarantine;
        if let Some(counter) = self.stops.get(reason as usize) {
            counter.get_or_init(|| self.stop_counter(reason)).increment();
        }
    }

    fn set_aside(&self) {
        let make = || {
            let labels = [("plugin", self.plugin.as_str()), ("version", self.version.as_str())];
            self.metrics.counter(&families::FILTER_ASIDE, &labels)
        };
        self.aside.get_or_init(make).increment();
    }

    fn stopped(&self, report: &CallReport, stop: &Stop, request_id: &str) {
        if let Some(counter) = self.stops.get(stop.reason as usize) {
            counter.get_or_init(|| self.stop_counter(stop.reason)).increment();
        }
        let Some(suppressed) = self.events.allow(Instant::now()) else { return };
        tracing::warn!(
            route = %self.route,
            plugin = %format_args!("{}@{}", self.plugin, self.version),
            reason = %stop.reason,
            phase = %report.phase,
            used = report.fuel,
            request_id,
            suppressed,
            detail = %stop.detail,
            "filter stopped"
        );
    }
}

/// Lets some events a second through and counts the others: a filter that fails on every request must not fill the disk.
struct Events {
    start: Instant,
    /// Second (upper half) and events in it (lower half).
    state: AtomicU64,
    suppressed: AtomicU64,
}

/// Events in one second, for each filter of a route.
const EVENTS_PER_SECOND: u64 = 10;

impl Events {
    fn new() -> Self {
        Self { start: Instant::now(), state: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether this event may be written, and how many were not since the last one that was.
    fn allow(&self, now: Instant) -> Option<u64> {
        let second = now.saturating_duration_since(self.start).as_secs() + 1;
        let next = |state: u64| match state >> 32 == second {
            true => (state & 0xffff_ffff < EVENTS_PER_SECOND).then_some(state + 1),
            false => Some((second << 32) | 1),
        };
        match self.state.fetch_update(Relaxed, Relaxed, next) {
            Ok(_) => Some(self.suppressed.swap(0, Relaxed)),
            Err(_) => {
                self.suppressed.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn calls_and_stops_are_counted_by_what_they_were() {
        let metrics = Metrics::new(1);
        let route = RouteName::new("orders").unwrap();
        let plugin = PluginName::new("jwt").unwrap();
        let observer = FilterObserver::new(&metrics, &route, &plugin, "1.4");
        let report = |outcome| CallReport {
            phase: Phase::Auth,
            fuel: 2_000,
            duration: Duration::from_micros(7),
            memory_peak: 4_096,
            outcome,
        };
        observer.called(&report(Outcome::Proceed));
        let stopped = report(Outcome::Stop(StopReason::Fuel));
        observer.called(&stopped);
        observer.stopped(&stopped, &Stop::new(StopReason::Fuel, "limit"), "id");
        observer.set_aside();
        let text = metrics.text();
        for line in [
            r#"edgewit_filter_duration_seconds_count{route="orders",plugin="jwt",version="1.4",phase="auth",outcome="proceed"} 1"#,
            r#"edgewit_filter_duration_seconds_count{route="orders",plugin="jwt",version="1.4",phase="auth",outcome="stop"} 1"#,
            r#"edgewit_filter_fuel_sum{route="orders",plugin="jwt",version="1.4"} 4000"#,
            r#"edgewit_filter_memory_peak_bytes{plugin="jwt",version="1.4"} 4096"#,
            r#"edgewit_filter_stops_total{plugin="jwt",version="1.4",reason="fuel"} 1"#,
            r#"edgewit_filter_aside_total{plugin="jwt",version="1.4"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        drop(observer);
        assert!(!metrics.text().contains("jwt"));
    }

    #[test]
    fn events_are_limited_and_the_suppressed_are_told() {
        let events = Events::new();
        let now = events.start;
        let written = (0..100).filter(|_| events.allow(now).is_some()).count() as u64;
        assert_eq!(written, EVENTS_PER_SECOND);
        let later = now + Duration::from_secs(1);
        assert_eq!(events.allow(later), Some(100 - EVENTS_PER_SECOND));
        assert_eq!(events.allow(later), Some(0));
    }
}
