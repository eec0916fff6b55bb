//! How long a call may compute: processor time of its thread, so that a busy machine stops no honest filter.
//!
//! A call never waits, so the processor time of its thread is its own. Nobody looks at a clock before the first tick of
//! the epoch after a call began: most calls have ended by then. A call that is still running then is measured from there,
//! so that it may take up to one tick more than its limit, and never less.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, UpdateDeadline};

use crate::state::State;

/// The time of the running call.
#[derive(Debug)]
pub(crate) struct CallTime {
    limit: Duration,
    /// When it was found running for the first time; `None`: it has not crossed a tick.
    since: Option<Moment>,
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// Processor time of this thread.
    cpu: Duration,
    wall: Instant,
}

/// A call took too long.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TookTooLong {
    /// It computed for that long.
    #[error("it computed for {} ms, limit {}", used.as_millis(), limit.as_millis())]
    Computed {
        /// Processor time, from the first tick of the call on.
        used: Duration,
        /// What it may take.
        limit: Duration,
    },
    /// The machine gave it so little time that it held up everything else for that long.
    #[error("it had {} ms of processor time in {} ms, limit {}", used.as_millis(), waited.as_millis(), limit.as_millis())]
    Starved {
        /// Processor time.
        used: Duration,
        /// Time by the clock.
        waited: Duration,
        /// What it may take.
        limit: Duration,
    },
}

/// A call is ended after this many times its limit by the clock, however little it could compute: what waits for its
/// worker has deadlines by the clock. On a machine that is so busy, other things fail first.
const WALL_FACTOR: u32 = 100;

impl CallTime {
    /// May compute for `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// Processor time that the call has taken since its first tick; `None` if it has not crossed one.
    pub(crate) fn used(&self) -> Option<Duration> {
        self.since.map(|since| Moment::now().cpu.saturating_sub(since.cpu))
    }

    /// Ticks until it is to be asked again, or why the call must end.
    fn tick(&mut self, now: Moment) -> Result<u64, TookTooLong> {
        let since = *self.since.get_or_insert(now);
        let limit = self.limit;
        let used = now.cpu.saturating_sub(since.cpu);
        let waited = now.wall.saturating_duration_since(since.wall);
        let left = limit.saturating_sub(used);
        let patience = limit.saturating_mul(WALL_FACTOR).saturating_sub(waited);
        match () {
            () if left.is_zero() => Err(TookTooLong::Computed { used, limit }),
            () if patience.is_zero() => Err(TookTooLong::Starved { used, waited, limit }),
            () => Ok(u64::try_from(left.min(patience).as_millis()).unwrap_or(u64::MAX).max(1)),
        }
    }
}

impl Moment {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        let cpu = Duration::try_from(cpu).unwrap_or_default();
        Self { cpu, wall: Instant::now() }
    }
}

/// Has each call of this store end when its time is over. [`begin`] must precede every call.
pub(crate) fn watch(store: &mut Store<State>) {
    store.epoch_deadline_callback(|mut store| {
        Ok(UpdateDeadline::Continue(store.data_mut().time.tick(Moment::now())?))
    });
}

/// A call begins that may compute for `limit`.
pub(crate) fn begin(store: &mut Store<State>, limit: Duration) {
    store.set_epoch_deadline(1);
    store.data_mut().time = CallTime::new(limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    fn at(start: Instant, cpu_us: u64, wall_ms: u64) -> Moment {
        let wall = start + Duration::from_millis(wall_ms);
        Moment { cpu: Duration::from_micros(cpu_us), wall }
    }

    #[test]
    fn a_call_ends_when_it_has_computed_for_its_limit() {
        let start = Instant::now();
        let mut time = CallTime::new(LIMIT);
        assert_eq!(time.tick(at(start, 7_000, 0)), Ok(50), "measured from the first tick on");
        assert_eq!(time.tick(at(start, 7_000 + 49_700, 60)), Ok(1), "the last part of a tick");
        let over = TookTooLong::Computed { used: LIMIT, limit: LIMIT };
        assert_eq!(time.tick(at(start, 7_000 + 50_000, 61)), Err(over));
    }

    #[test]
    fn waiting_for_the_processor_is_not_computing() {
        let start = Instant::now();
        let mut time = CallTime::new(LIMIT);
        assert_eq!(time.tick(at(start, 0, 0)), Ok(50));
        assert_eq!(time.tick(at(start, 5_000, 500)), Ok(45));
        assert_eq!(
            time.tick(at(start, 20_000, 4_980)),
            Ok(20),
            "the clock is nearer than the limit"
        );
        let Err(starved) = time.tick(at(start, 21_000, 5_000)) else { panic!("it goes on") };
        assert_eq!(starved.to_string(), "it had 21 ms of processor time in 5000 ms, limit 50");
    }
}
