//! Filters that are slow: which steps meet one, and steps that call none.

use super::Run;
use crate::{
    chain::Link,
    phase::{Phase, Phases},
};

impl Run {
    /// The first filter that is slow, of those that may be asked in one of these phases. A step in which it is asked is better
    /// done on a thread that nobody else waits for: a run can be sent there between two steps.
    pub fn slow(&self, phases: Phases) -> Option<&Link> {
        if !self.phases().meets(phases) {
            return None;
        }
        let asks = |index: usize| match phases.has(Phase::Telemetry) {
            true => self.link_phases(index).meets(phases), // even those that have failed
            false => self.phases_of(index).meets(phases),
        };
        let mut links = self.chain.links().iter().enumerate();
        let (_, link) = links.find(|(index, link)| asks(*index) && link.filter.is_slow())?;
        Some(link)
    }

    /// Does a step in which no slow filter is called, because there is no room for it: it fails instead, and its `on-error`
    /// decides.
    pub fn refusing_slow<T>(&mut self, step: impl FnOnce(&mut Self) -> T) -> T {
        self.refuses_slow = true;
        let done = step(self);
        self.refuses_slow = false;
        done
    }
}
