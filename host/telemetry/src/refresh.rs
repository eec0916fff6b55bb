//! Series whose numbers are counted elsewhere.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Brings series up to date that are counted elsewhere, just before they are read.
pub trait Refresh: Send + Sync {
    /// Reads the numbers and sets them. Called for each exposition, by the thread that makes it.
    fn refresh(&self);
}

/// Everybody who wants to be asked, as long as they live.
#[derive(Default)]
pub(crate) struct Sources(Mutex<Vec<Weak<dyn Refresh>>>);

impl Sources {
    pub(crate) fn add(&self, source: Weak<dyn Refresh>) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|source| source.strong_count() > 0);
        sources.push(source);
    }

    /// Asks all. They are not kept from adding others meanwhile.
    pub(crate) fn refresh(&self) {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alive: Vec<Arc<dyn Refresh>> = sources.iter().filter_map(Weak::upgrade).collect();
        drop(sources);
        alive.iter().for_each(|source| source.refresh());
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::{Metrics, families};

    struct Source(crate::Gauge, AtomicU64);

    impl Refresh for Source {
        fn refresh(&self) {
            self.0.set(self.1.fetch_add(1, Ordering::Relaxed) + 1);
        }
    }

    #[test]
    fn sources_are_asked_for_each_exposition_as_long_as_they_live() {
        let metrics = Metrics::new(1);
        let gauge = metrics.gauge(&families::UPSTREAM_ENDPOINTS, &[("upstream", "a")]);
        let source = Arc::new(Source(gauge.clone(), AtomicU64::new(0)));
        let weak = Arc::downgrade(&source);
        metrics.refresh_with(weak);
        assert!(metrics.text().contains("edgewit_upstream_endpoints{upstream=\"a\"} 1\n"));
        assert!(metrics.text().contains("edgewit_upstream_endpoints{upstream=\"a\"} 2\n"));
        drop(source);
        metrics.text();
        assert_eq!(gauge.get(), 2);
    }

    #[test]
    fn a_counter_that_is_counted_elsewhere_is_a_counter() {
        let metrics = Metrics::new(1);
        let labels = [("upstream", "a"), ("result", "ok")];
        let looks = metrics.gauge(&families::DISCOVERY_LOOKS, &labels);
        looks.set(7);
        let line = "edgewit_discovery_looks_total{result=\"ok\",upstream=\"a\"} 7\n";
        let other = "edgewit_discovery_looks_total{upstream=\"a\",result=\"ok\"} 7\n";
        let text = metrics.text();
        assert!(text.contains(line) || text.contains(other), "{text}");
        assert!(text.contains("# TYPE edgewit_discovery_looks counter\n"), "{text}");
    }
}
