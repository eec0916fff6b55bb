//! What all retries towards an upstream may cost together.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Seconds that the budget looks back.
const WINDOW: u64 = 10;

/// Retries that are always allowed within the window: 3 a second. A share of a few requests is less than one, and an
/// upstream that is asked once a minute deserves its second try too. 3 a second is no storm for any server.
const FLOOR: u64 = 3 * WINDOW;

/// What all retries towards an upstream may cost together: a share of its requests over the last 10 seconds, or 3 a
/// second if that is more. Shared by all workers, without a lock.
///
/// Without it, retries multiply the load on an upstream exactly when it has too much already (THREATS F6).
#[derive(Debug)]
pub struct Budget {
    start: Instant,
    seconds: [Second; WINDOW as usize],
}

/// Counts of one second: its number (24 bits), requests (20) and retries (20) in one word, so that the three always
/// belong together. The number comes around after half a year.
#[derive(Debug)]
struct Second(AtomicU64);

const FIELD: u64 = (1 << 20) - 1;
const ONE_REQUEST: u64 = 1 << 20;
const ONE_RETRY: u64 = 1;
/// Counts stop here, below the width of their field by more than there will be workers.
const FULL: u64 = FIELD - (1 << 12);

impl Budget {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), seconds: std::array::from_fn(|_| Second(AtomicU64::new(0))) }
    }

    /// Counts a request, once, however often it will be tried.
    pub fn request(&self, now: Instant) {
        self.count(self.number(now), ONE_REQUEST);
    }

    /// Takes a retry out of the budget of `percent` of the requests. `false`, and nothing is taken, if it is used up.
    /// Workers that ask in the same instant may be denied the last one all together, but never get more than there is.
    pub fn try_retry(&self, percent: u32, now: Instant) -> bool {
        let number = self.number(now);
        self.count(number, ONE_RETRY);
        let (requests, retries) = self.sums(number);
        let share = requests.saturating_mul(u64::from(percent)) / 100;
        let granted = retries <= share.max(FLOOR);
        if !granted {
            self.take_back(number);
        }
        granted
    }

    /// Whole seconds since the start, from 1: 0 marks a second that was never used.
    fn number(&self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.start).as_secs() + 1) & 0xff_ffff
    }

    fn second(&self, number: u64) -> Option<&AtomicU64> {
        self.seconds.get((number % WINDOW) as usize).map(|second| &second.0)
    }

    fn count(&self, number: u64, one: u64) {
        let Some(second) = self.second(number) else { return };
        let word = second.load(Ordering::Relaxed);
        if word >> 40 == number {
            if (word / one) & FIELD < FULL {
                second.fetch_add(one, Ordering::Relaxed);
            }
            return;
        }
        // The first of a new second replaces the word of ten seconds ago.
        let swap = |word: u64| (word >> 40 != number).then_some(number << 40);
        let _ = second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, swap);
        second.fetch_add(one, Ordering::Relaxed);
    }

    fn take_back(&self, number: u64) {
        let Some(second) = self.second(number) else { return };
        let less = |word: u64| (word >> 40 == number && word & FIELD > 0).then(|| word - ONE_RETRY);
        let _ = second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn sums(&self, now: u64) -> (u64, u64) {
        let words = self.seconds.iter().map(|second| second.0.load(Ordering::Relaxed));
        let recent = words.filter(|word| word >> 40 != 0 && now.wrapping_sub(word >> 40) < WINDOW);
        recent.fold((0, 0), |(requests, retries), word| {
            (requests + ((word >> 20) & FIELD), retries + (word & FIELD))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;

    fn granted(budget: &Budget, asked: u64, now: Instant) -> u64 {
        (0..asked).filter(|_| budget.try_retry(20, now)).count() as u64
    }

    #[test]
    fn retries_stop_when_budget_is_empty() {
        let budget = Budget::new();
        let now = budget.start;
        (0..1000).for_each(|_| budget.request(now));
        assert_eq!(granted(&budget, 1000, now), 200);
        assert_eq!(
            granted(&budget, 1000, now),
            0,
            "a denied retry is not charged, a granted one is"
        );
    }

    #[test]
    fn an_idle_upstream_has_the_floor() {
        let budget = Budget::new();
        assert_eq!(granted(&budget, 1000, budget.start), FLOOR);
    }

    #[test]
    fn requests_count_for_ten_seconds() {
        let budget = Budget::new();
        (0..1000).for_each(|_| budget.request(budget.start));
        let late = budget.start + Duration::from_secs(9);
        assert_eq!(granted(&budget, 1000, late), 200);
        let later = budget.start + Duration::from_secs(10);
        assert_eq!(granted(&budget, 1000, later), 0, "the retries of a second ago still count");
        let past = budget.start + Duration::from_secs(19);
        assert_eq!(granted(&budget, 1000, past), FLOOR);
    }

    #[test]
    fn a_steady_stream_gets_its_share() {
        let budget = Budget::new();
        let mut retries = 0;
        for ms in 0..60_000 {
            let now = budget.start + Duration::from_millis(ms);
            budget.request(now);
            retries += granted(&budget, 3, now);
        }
        assert!((11_800..=12_200).contains(&retries), "{retries} of 60,000 requests at 20 %");
    }

    #[test]
    fn counts_never_run_into_each_other() {
        let budget = Budget::new();
        (0..FIELD + 10).for_each(|_| budget.request(budget.start));
        assert_eq!(budget.sums(1), (FULL, 0));
    }

    #[test]
    fn workers_together_never_get_more_than_there_is() {
        let budget = Arc::new(Budget::new());
        let now = budget.start;
        (0..1000).for_each(|_| budget.request(now));
        let ask = |budget: Arc<Budget>| std::thread::spawn(move || granted(&budget, 500, now));
        let workers: Vec<_> = (0..4).map(|_| ask(budget.clone())).collect();
        let total: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        assert!((190..=200).contains(&total), "{total}");
    }
}
