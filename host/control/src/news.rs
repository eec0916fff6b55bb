//! What changes all the time, told of as a few events.
//!
//! Things are looked at now and then, and what is new about one is an event. The next about the same thing comes after a
//! pause, which doubles as long as it keeps changing. When everything changes at once, a few say so.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::status::Status;

/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// From one event about a thing to the next, at first.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Events of one look.
pub(crate) const MOST_EVENTS: usize = 20;

/// What has been told of things, by their names.
pub(crate) struct News<K, T> {
    told: BTreeMap<K, Told<T>>,
    longest_pause: Duration,
}

struct Told<T> {
    /// As of the last event.
    value: T,
    /// When there may be another event.
    next: Instant,
    pause: Duration,
}

/// How things of one kind are told of.
pub(crate) struct Words<K, T> {
    /// Whether the second says more than the first, which may be corrected.
    pub(crate) is_news: fn(&mut T, &T) -> bool,
    /// Says what is new: from what was told to what is.
    pub(crate) tell: fn(&Status, &K, &T, &T),
}

impl<K: Ord, T: Default> News<K, T> {
    /// Nothing was told yet; whatever is seen first is compared with the default. Pauses double up to this.
    pub(crate) fn new(longest_pause: Duration) -> Self {
        Self { told: BTreeMap::new(), longest_pause }
    }

    /// Looks at all things of the kind, and forgets those that are gone.
    pub(crate) fn look(
        &mut self,
        all: impl IntoIterator<Item = (K, T)>,
        now: Instant,
        status: &Status,
        words: &Words<K, T>,
    ) {
        let mut events = 0;
        let mut seen = BTreeMap::new();
        for (name, value) in all {
            let fresh = || Told { value: T::default(), next: now, pause: Duration::ZERO };
            let mut told = self.told.remove(&name).unwrap_or_else(fresh);
            if (words.is_news)(&mut told.value, &value) && now >= told.next {
                if events < MOST_EVENTS {
                    (words.tell)(status, &name, &told.value, &value);
                    events += 1;
                } else {
                    status.events().drop_some(1);
                }
                told.pause(now, self.longest_pause);
                told.value = value;
            }
            seen.insert(name, told);
        }
        self.told = seen;
    }
}

impl<T> Told<T> {
    fn pause(&mut self, now: Instant, longest: Duration) {
        let was_quiet = now.saturating_duration_since(self.next) > self.pause;
        let pause = if was_quiet { FIRST_PAUSE } else { self.pause * 2 };
        self.pause = pause.clamp(FIRST_PAUSE, longest);
        self.next = now + self.pause;
    }
}
