//! When is a filter that keeps failing not called any more?
//!
//! One breaker belongs to one version of a plugin and is shared by all routes. While it is closed, a request costs one load
//! and one count on a cache line that its thread has for itself; everything else happens on a stop, or in quarantine.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    time::{Duration, Instant},
};

use edgewit_model::Quarantine;

/// Decides whether a version of a plugin is called.
pub struct Breaker {
    rule: Option<Quarantine>,
    begun: Instant,
    state: AtomicU8,
    /// Nanoseconds after `begun` at which one request may try.
    until: AtomicU64,
    /// Probes in a row that were stopped.
    failures: AtomicU32,
    calls: [Count; SHARDS],
    stops: AtomicU64,
    recent: Mutex<VecDeque<Moment>>,
    told: Box<Told>,
}

/// Is told of each change of state.
pub type Told = dyn Fn(Change) + Send + Sync;

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Too many stops: the filter is not called any more.
    Opened,
    /// A request that tried was stopped, too; the next one tries after this time.
    StillOpen(Duration),
    /// A request that tried came through: the filter is called again.
    Closed,
}

/// What a breaker has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that reached the filter.
    pub calls: u64,
    /// Requests in which it was stopped.
    pub stops: u64,
}

/// May a request use the filter?
pub(crate) enum Admission {
    /// Yes.
    Run,
    /// Yes, and the outcome counts.
    Probe(Probe),
    /// No: what `on-error` says happens.
    Held,
}

/// A request that tries whether the filter is well again. Dropped without an outcome, another one may.
pub(crate) struct Probe(Option<Arc<Breaker>>);

/// A stop in the window.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    /// Requests before it.
    calls: u64,
}

/// A counter that two threads rarely share; one cache line, or two where the processor fetches pairs.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU64);

/// Threads that count without meeting.
const SHARDS: usize = 16;
/// A probe that fails doubles the pause, up to this many times the first one.
const MOST_DOUBLINGS: u32 = 6;

const CLOSED: u8 = 0;
const OPEN: u8 = 1;

impl Breaker {
    /// A breaker with its rule; without one it only counts.
    pub fn new(rule: Option<Quarantine>, told: Box<Told>) -> Arc<Self> {
        Arc::new(Self {
            rule,
            begun: Instant::now(),
            state: AtomicU8::new(CLOSED),
            until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            calls: Default::default(),
            stops: AtomicU64::new(0),
            recent: Mutex::default(),
            told,
        })
    }

    /// Its rule.
    pub fn rule(&self) -> Option<Quarantine> {
        self.rule
    }

    /// Is the filter not called at present?
    pub fn is_open(&self) -> bool {
        self.state.load(Acquire) == OPEN
    }

    /// What it has counted.
    pub fn counts(&self) -> Counts {
        Counts { calls: self.calls(), stops: self.stops.load(Relaxed) }
    }

    fn calls(&self) -> u64 {
        self.calls.iter().map(|count| count.0.load(Relaxed)).sum()
    }

    /// Called once for each request that reaches the filter.
    pub(crate) fn admit(self: &Arc<Self>) -> Admission {
        if self.state.load(Acquire) == CLOSED {
            self.shard().fetch_add(1, Relaxed);
            return Admission::Run;
        }
        self.admit_open(Instant::now())
    }

    fn admit_open(self: &Arc<Self>, now: Instant) -> Admission {
        let until = self.until.load(Relaxed);
        let elapsed = self.elapsed(now);
        // Whoever moves the time on is the one that tries. A probe that takes for ever does not keep others from trying.
        let next = elapsed.saturating_add(nanos(self.pause()));
        let is_first = || self.until.compare_exchange(until, next, Relaxed, Relaxed).is_ok();
        if elapsed >= until && is_first() {
            self.shard().fetch_add(1, Relaxed);
            return Admission::Probe(Probe(Some(Arc::clone(self))));
        }
        Admission::Held
    }

    /// The filter was stopped in a request that it was asked in.
    pub(crate) fn stopped(&self) {
        self.stopped_at(Instant::now());
    }

    fn stopped_at(&self, now: Instant) {
        self.stops.fetch_add(1, Relaxed);
        let Some(rule) = self.rule else { return };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back(Moment { at: now, calls: self.calls() });
        while recent.len() > rule.stops as usize {
            recent.pop_front();
        }
        if is_too_much(&rule, &recent) && self.state.load(Acquire) == CLOSED {
            recent.clear();
            self.failures.store(0, Relaxed);
            self.until.store(self.elapsed(now).saturating_add(nanos(rule.probe)), Relaxed);
            self.state.store(OPEN, Release);
            drop(recent);
            (self.told)(Change::Opened);
        }
    }

    fn probe_failed(&self, now: Instant) {
        if self.is_open() {
            self.failures.fetch_add(1, Relaxed);
            let pause = self.pause();
            self.until.store(self.elapsed(now).saturating_add(nanos(pause)), Relaxed);
            (self.told)(Change::StillOpen(pause));
        }
    }

    fn probe_passed(&self) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.clear();
        drop(recent);
        if self.state.swap(CLOSED, AcqRel) == OPEN {
            (self.told)(Change::Closed);
        }
    }

    /// Until the next request may try.
    fn pause(&self) -> Duration {
        let first = self.rule.map_or(Duration::ZERO, |rule| rule.probe);
        first.saturating_mul(1 << self.failures.load(Relaxed).min(MOST_DOUBLINGS))
    }

    fn elapsed(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.begun))
    }

    fn shard(&self) -> &AtomicU64 {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static SHARD: usize = NEXT.fetch_add(1, Relaxed) % SHARDS;
        }
        let index = SHARD.with(|shard| *shard);
        self.calls.get(index).map_or(&self.stops, |count| &count.0)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Breaker");
        out.field("open", &self.is_open()).field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// Are the latest stops as many as the rule has, within its window, and a large enough share of the requests meanwhile?
fn is_too_much(rule: &Quarantine, recent: &VecDeque<Moment>) -> bool {
    let (Some(first), Some(last)) = (recent.front(), recent.back()) else { return false };
    let stops = recent.len() as u64;
    let calls = last.calls.saturating_sub(first.calls).saturating_add(1).max(stops);
    stops >= u64::from(rule.stops)
        && last.at.saturating_duration_since(first.at) <= rule.window
        && stops.saturating_mul(100) >= calls.saturating_mul(u64::from(rule.share_percent))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Probe {
    /// The filter did all that this request wanted of it.
    pub(crate) fn passed(mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.probe_passed();
        }
    }

    /// The filter was stopped again.
    pub(crate) fn failed(mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.probe_failed(Instant::now());
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.until.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Quarantine = Quarantine {
        stops: 3,
        window: Duration::from_secs(10),
        share_percent: 50,
        probe: Duration::from_secs(5),
    };

    /// What it shows; seconds and requests before each stop; is it too much?
    type Case = (&'static str, &'static [(u64, u64)], bool);
    type Changes = Arc<Mutex<Vec<Change>>>;

    fn breaker(rule: Option<Quarantine>) -> (Arc<Breaker>, Changes) {
        let changes = Changes::default();
        let told = Arc::clone(&changes);
        (Breaker::new(rule, Box::new(move |change| told.lock().unwrap().push(change))), changes)
    }

    #[test]
    fn stops_count_only_as_many_in_a_window_and_as_a_share_of_requests() {
        let cases: [Case; 7] = [
            ("none", &[], false),
            ("too few", &[(0, 1), (1, 2)], false),
            ("all of three", &[(0, 1), (1, 2), (2, 3)], true),
            ("just in the window", &[(0, 1), (1, 2), (10, 3)], true),
            ("too slow", &[(0, 1), (1, 2), (11, 3)], false),
            ("half of the requests", &[(0, 1), (1, 4), (2, 6)], true),
            ("less than half: somebody sends bad requests", &[(0, 1), (1, 4), (2, 7)], false),
        ];
        let begun = Instant::now();
        for (what, stops, expected) in cases {
            let moment = |(at, calls): &(u64, u64)| Moment {
                at: begun + Duration::from_secs(*at),
                calls: *calls,
            };
            let recent = stops.iter().map(moment).collect();
            assert_eq!(is_too_much(&RULE, &recent), expected, "{what}");
        }
    }

    #[test]
    fn a_filter_in_quarantine_is_tried_by_one_request_after_each_pause() {
        let (breaker, changes) = breaker(Some(RULE));
        let start = breaker.begun;
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for n in 0..3 {
            assert!(matches!(breaker.admit(), Admission::Run));
            breaker.stopped_at(at(n));
        }
        assert!(breaker.is_open());
        assert!(matches!(breaker.admit_open(at(6)), Admission::Held), "2 s + 5 s are not over");
        let Admission::Probe(probe) = breaker.admit_open(at(7)) else { panic!("it may try") };
        assert!(matches!(breaker.admit_open(at(7)), Admission::Held), "one is enough");
        drop(probe); // its client went away
        let Admission::Probe(mut probe) = breaker.admit_open(at(7)) else { panic!("another") };
        probe.0.take().unwrap().probe_failed(at(8));
        assert!(matches!(breaker.admit_open(at(17)), Admission::Held), "8 s + 10 s");
        let Admission::Probe(probe) = breaker.admit_open(at(18)) else { panic!("it may try") };
        probe.passed();
        assert!(!breaker.is_open());
        let expected = [Change::Opened, Change::StillOpen(Duration::from_secs(10)), Change::Closed];
        assert_eq!(*changes.lock().unwrap(), expected);
        assert_eq!(breaker.counts(), Counts { calls: 6, stops: 3 });
    }

    #[test]
    fn the_pause_grows_to_a_limit() {
        let (breaker, _) = breaker(Some(RULE));
        breaker.state.store(OPEN, Release);
        (0..100).for_each(|_| breaker.probe_failed(breaker.begun));
        assert_eq!(breaker.pause(), RULE.probe * 64);
    }

    #[test]
    fn a_probe_that_never_ends_does_not_keep_others_from_trying() {
        let (breaker, _) = breaker(Some(RULE));
        (0..3).for_each(|_| breaker.stopped_at(breaker.begun));
        let at = |seconds: u64| breaker.begun + Duration::from_secs(seconds);
        let Admission::Probe(endless) = breaker.admit_open(at(5)) else { panic!("it may try") };
        assert!(matches!(breaker.admit_open(at(9)), Admission::Held));
        let Admission::Probe(other) = breaker.admit_open(at(10)) else { panic!("it may, too") };
        other.passed();
        assert!(!breaker.is_open());
        drop(endless);
        assert!(matches!(breaker.admit(), Admission::Run));
    }

    #[test]
    fn without_a_rule_it_only_counts() {
        let (breaker, changes) = breaker(None);
        for _ in 0..1_000 {
            let _ = breaker.admit();
            breaker.stopped();
        }
        assert_eq!((breaker.is_open(), changes.lock().unwrap().len()), (false, 0));
        assert_eq!(breaker.counts(), Counts { calls: 1_000, stops: 1_000 });
    }
}
