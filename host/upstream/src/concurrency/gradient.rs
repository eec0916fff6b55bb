//! From times to a bound.

use std::time::Duration;

use edgewit_model as model;
use tokio::time::Instant;

/// So much longer than unloaded may a response take, in thousandths, before the bound falls.
const TOLERANCE: f64 = 1.25;

/// The bound at most halves in one step.
const STEEPEST: f64 = 0.5;

/// Share of the attempts of a window that an overloaded upstream turns away before the bound falls for that alone.
const TURNED_AWAY: f64 = 0.1;
const BACK_OFF: f64 = 0.9;

/// What was seen in one window of time.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// From leave to response head.
    pub(super) times: Vec<Duration>,
    /// Attempts that were turned away, or for which the time was over.
    pub(super) overloaded: usize,
    /// The most attempts that were under way.
    pub(super) busiest: u32,
}

/// The bound as a function of times, after the gradient controller of Envoy.
///
/// The time of an unloaded upstream is measured first, with few requests under way, and again and again, because it
/// changes. While responses take little longer than that there is room for more: the bound rises by the square root of
/// itself. When they take longer they wait for one another inside the upstream, and the bound falls in proportion.
#[derive(Debug)]
pub(super) struct Gradient {
    rules: model::Concurrency,
    limit: f64,
    /// Time of the unloaded upstream.
    unloaded: Option<Duration>,
    /// To come back to after a measurement.
    before: f64,
    next_measurement: Instant,
}

impl Window {
    fn median(&mut self) -> Option<Duration> {
        let middle = self.times.len() / 2;
        (!self.times.is_empty()).then(|| *self.times.select_nth_unstable(middle).1)
    }

    pub(super) fn clear(&mut self) {
        self.times.clear();
        (self.overloaded, self.busiest) = (0, 0);
    }
}

impl Gradient {
    pub(super) fn new(rules: &model::Concurrency, now: Instant) -> Self {
        let least = f64::from(rules.min);
        Self {
            limit: least,
            unloaded: None,
            before: least,
            next_measurement: now,
            rules: rules.clone(),
        }
    }

    /// The bound.
    pub(super) fn limit(&self) -> u32 {
        if self.is_measuring() { self.rules.min } else { self.limit as u32 } // `as` saturates
    }

    /// Whether the bound is low to measure the unloaded upstream.
    pub(super) fn is_measuring(&self) -> bool {
        self.unloaded.is_none()
    }

    /// Takes in a window; the new bound.
    pub(super) fn close(&mut self, window: &mut Window, now: Instant) -> u32 {
        let seen = window.times.len() + window.overloaded;
        let turned_away = window.overloaded as f64 > seen as f64 * TURNED_AWAY;
        match (window.median(), self.unloaded) {
            _ if turned_away => self.limit *= BACK_OFF,
            (Some(median), None) => self.measured(median, now),
            (Some(_), Some(_)) if now >= self.next_measurement => {
                self.before = self.limit;
                self.unloaded = None;
            }
            (Some(median), Some(unloaded)) => self.step(median, unloaded, window.busiest),
            (None, _) => {}
        }
        self.limit = self.limit.clamp(f64::from(self.rules.min), f64::from(self.rules.max));
        self.limit()
    }

    fn measured(&mut self, median: Duration, now: Instant) {
        self.unloaded = Some(median);
        self.limit = self.before;
        self.next_measurement = now + self.rules.recalibrate;
    }

    fn step(&mut self, median: Duration, unloaded: Duration, busiest: u32) {
        let loaded = median.as_secs_f64().max(f64::EPSILON);
        let gradient = (unloaded.as_secs_f64() * TOLERANCE / loaded).clamp(STEEPEST, 1.0);
        let is_used = f64::from(busiest) * 2.0 >= self.limit;
        if gradient < 1.0 || is_used {
            // A bound that nobody comes near does not rise: it would say nothing.
            self.limit = self.limit * gradient + self.limit.sqrt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream with so many servers, each of which takes so many ticks; a queue before them; and an open loop of
    /// clients that ask so often per tick, whatever happens. One tick is a millisecond; a window lasts a hundred of them
    /// at least, and until there are twenty responses.
    struct World {
        gradient: Gradient,
        window: Window,
        start: Instant,
        servers: usize,
        takes: u32,
        arrivals: f64,
        owed: f64,
        /// When each began, and how much work is left.
        inside: Vec<(u32, u32)>,
        tick: u32,
        window_began: u32,
        since: u32,
        done: u32,
        deepest: usize,
    }

    impl World {
        fn new(servers: usize, takes: u32, arrivals: f64) -> Self {
            let rules = model::Concurrency { min: 4, max: 1_000, ..Default::default() };
            let start = Instant::now();
            let gradient = Gradient::new(&rules, start);
            let (window, inside) = (Window::default(), Vec::new());
            Self {
                gradient,
                window,
                start,
                servers,
                takes,
                arrivals,
                owed: 0.0,
                inside,
                tick: 0,
                window_began: 0,
                since: 0,
                done: 0,
                deepest: 0,
            }
        }

        /// Runs for so many tenths of a second; responses, and the most that were inside.
        fn run(&mut self, tenths: u32) -> (u32, usize) {
            (self.done, self.deepest) = (0, 0);
            (0..tenths * 100).for_each(|_| self.step());
            (self.done, self.deepest)
        }

        fn step(&mut self) {
            self.tick += 1;
            self.owed += self.arrivals;
            while self.owed >= 1.0 {
                self.owed -= 1.0;
                if self.inside.len() < self.gradient.limit() as usize {
                    self.inside.push((self.tick, self.takes));
                } // else it is refused
            }
            self.deepest = self.deepest.max(self.inside.len());
            self.window.busiest = self.window.busiest.max(self.inside.len() as u32);
            self.inside.iter_mut().take(self.servers).for_each(|(_, left)| *left -= 1);
            let ended = self.inside.extract_if(.., |(_, left)| *left == 0);
            for (began, _) in ended {
                self.done += 1;
                if began >= self.since {
                    let took = u64::from(self.tick - began + 1);
                    self.window.times.push(Duration::from_millis(took));
                }
            }
            if self.window.times.len() >= 20 && self.tick >= self.window_began + 100 {
                self.close();
            }
        }

        fn close(&mut self) {
            let was_measuring = self.gradient.is_measuring();
            let now = self.start + Duration::from_millis(u64::from(self.tick));
            self.gradient.close(&mut self.window, now);
            if self.gradient.is_measuring() && !was_measuring {
                self.since = self.tick;
            }
            self.window.clear();
            self.window_began = self.tick;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_times_the_load_leaves_the_upstream_busy_and_not_buried() {
        // 20 servers of 10 ms do 200 in a tenth of a second; clients ask for 2,000.
        let mut world = World::new(20, 10, 20.0);
        world.run(100);
        let (done, deepest) = world.run(20);
        assert!(done >= 3_600, "{done} of 4,000");
        assert!(deepest <= 60, "{deepest} inside, where 20 are served");
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_in_time_is_survived_and_learnt() {
        let mut world = World::new(20, 10, 20.0);
        world.run(100);
        world.takes = 50; // now 40 in a tenth of a second
        let (_, deepest) = world.run(20);
        assert!(deepest <= 60, "{deepest} inside at once after the step");
        world.run(700); // beyond the next measurement
        let (done, deepest) = world.run(20);
        assert!(done >= 720, "{done} of 800");
        assert!(deepest <= 60, "{deepest}");
        world.takes = 10; // and back
        world.run(100);
        let (done, _) = world.run(20);
        assert!(done >= 3_600, "{done} of 4,000 after the recovery");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bound_that_nobody_needs_stands_still() {
        let mut world = World::new(20, 10, 0.5); // five at a time
        world.run(200);
        assert!(world.gradient.limit() <= 16, "{}", world.gradient.limit());
        let (done, _) = world.run(20);
        assert!((950..=1_050).contains(&done), "{done}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_bound_stays_within_its_range_and_falls_when_turned_away() {
        let now = Instant::now();
        let rules = model::Concurrency { min: 10, max: 100, ..Default::default() };
        let mut gradient = Gradient::new(&rules, now);
        let fast =
            || Window { times: vec![Duration::from_millis(5); 50], overloaded: 0, busiest: 1_000 };
        for _ in 0..100 {
            gradient.close(&mut fast(), now);
        }
        assert_eq!(gradient.limit(), 100);
        let mut busy = Window { overloaded: 10, ..fast() };
        assert_eq!(gradient.close(&mut busy, now), 90);
        let slow = || Window { times: vec![Duration::from_secs(5); 50], ..fast() };
        for _ in 0..100 {
            gradient.close(&mut slow(), now);
        }
        assert!((10..=20).contains(&gradient.limit()), "{}", gradient.limit());
    }
}
