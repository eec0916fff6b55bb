//! When is something at rest?

use std::time::{Duration, Instant};

/// Something that is looked at again and again, and counts only once two looks, some time apart, saw the same.
#[derive(Debug)]
pub(super) struct Settle<R> {
    settled: Option<R>,
    pending: Option<(Instant, R)>,
}

/// What a look has told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing new.
    Unchanged,
    /// Something new that may still be on the move: look again soon.
    Moving,
    /// Something new that is at rest.
    Changed,
}

impl<R: PartialEq> Settle<R> {
    /// Starts from what is known.
    pub(super) fn new(settled: Option<R>) -> Self {
        Self { settled, pending: None }
    }

    /// What was last at rest does not count any more: whatever is there is new.
    pub(super) fn forget(&mut self) {
        self.settled = None;
    }

    /// What it was when it was last at rest.
    pub(super) fn settled(&self) -> Option<&R> {
        self.settled.as_ref()
    }

    /// Is a change waiting to come to rest?
    pub(super) fn is_moving(&self) -> bool {
        self.pending.is_some()
    }

    /// Takes in what is seen now. It counts once it has been the same for `rest`.
    pub(super) fn look(&mut self, seen: R, now: Instant, rest: Duration) -> Look {
        match self.pending.take() {
            None if self.settled.as_ref() == Some(&seen) => Look::Unchanged,
            Some((since, before)) if before == seen => {
                if now.saturating_duration_since(since) < rest {
                    self.pending = Some((since, before));
                    return Look::Moving;
                }
                let changed = self.settled.as_ref() != Some(&seen);
                self.settled = Some(seen);
                if changed { Look::Changed } else { Look::Unchanged }
            }
            _ => {
                self.pending = Some((now, seen));
                Look::Moving
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_when_two_looks_agree() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut settle = Settle::new(Some('a'));
        let looks = [
            (0, 'a', Look::Unchanged),
            (10, 'b', Look::Moving),
            (40, 'b', Look::Moving),
            (60, 'b', Look::Changed),
            (70, 'b', Look::Unchanged),
            (80, 'c', Look::Moving),
            (140, 'd', Look::Moving), // still written
            (190, 'd', Look::Changed),
            (200, 'e', Look::Moving),
            (210, 'd', Look::Moving),
            (260, 'd', Look::Unchanged), // and back again
        ];
        for (ms, seen, expected) in looks {
            let look = settle.look(seen, at(ms), Duration::from_millis(50));
            assert_eq!(look, expected, "{ms}");
        }
    }
}
