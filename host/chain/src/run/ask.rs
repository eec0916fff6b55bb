//! One call of one filter: instance, ledger, report, and what happens if it fails.

use std::time::{Duration, Instant};

use edgewit_model::OnError;

use super::{Asked, Failed, LENT, Run};
use crate::{
    breaker::Admission,
    filter::{Allowance, Call, CallReport, Instance, Outcome, Returned},
    phase::Phase,
    stop::{Stop, StopReason},
};

/// Is it the filter's own doing? A host without room for instances says nothing about the filter, and an error that it
/// returns in an orderly way may be what it has to say about this request.
fn counts(reason: StopReason) -> bool {
    !matches!(reason, StopReason::Exhausted | StopReason::Error | StopReason::Quarantine)
}

/// What a stop says if the filter was not called.
const NO_ROOM: &str = "too many requests wait for this filter, whose calls take long";

/// Largest state that a filter may keep between phases, in bytes.
pub(super) const MAX_STATE: usize = 4 << 10;

impl Run {
    /// Takes a filter out of action that returned something it must not.
    pub(crate) fn fail(&mut self, index: usize, phase: Phase, stop: Stop) -> Result<(), Failed> {
        let report = CallReport {
            phase,
            fuel: 0,
            duration: Duration::ZERO,
            memory_peak: 0,
            outcome: Outcome::Stop(stop.reason),
        };
        self.slots[index].outcome = Some(report.outcome);
        self.disable(index, &report, stop)
    }

    /// Calls a filter in a phase. `Ok(None)`: it failed and is skipped.
    pub(super) fn ask<V>(
        &mut self,
        index: usize,
        phase: Phase,
        call: impl FnOnce(&mut dyn Instance, Call) -> Returned<V>,
        is_answer: impl FnOnce(&V) -> bool,
    ) -> Result<Option<V>, Failed> {
        self.must_not_be_held(index)?;
        if self.slots[index].disabled {
            return Ok(None);
        }
        let begun = Instant::now();
        let (verdict, fuel, memory_peak) = self.call(index, call);
        let outcome = match &verdict {
            Ok(v) if is_answer(v) => Outcome::Answer,
            Ok(_) => Outcome::Proceed,
            Err(stop) => Outcome::Stop(stop.reason),
        };
        let report = CallReport { phase, fuel, duration: begun.elapsed(), memory_peak, outcome };
        let slot = &mut self.slots[index];
        slot.duration += report.duration;
        slot.outcome = Some(outcome);
        self.chain.links()[index].observer.called(&report);
        match verdict {
            Ok(verdict) => {
                self.release_after(index, phase);
                Ok(Some(verdict))
            }
            Err(stop) => self.disable(index, &report, stop).map(|()| None),
        }
    }

    /// The first question of an exchange to a filter asks its breaker, too. `Err`: it is in quarantine, and its `on-error`
    /// rejects.
    fn must_not_be_held(&mut self, index: usize) -> Result<(), Failed> {
        let link = &self.chain.links()[index];
        let (Some(breaker), Asked::NotYet) = (&link.breaker, &self.slots[index].asked) else {
            return Ok(());
        };
        let slot = &mut self.slots[index];
        slot.asked = match breaker.admit() {
            Admission::Run => Asked::Run,
            Admission::Probe(probe) => Asked::Probe(probe),
            Admission::Held => {
                slot.disabled = true;
                slot.outcome = Some(Outcome::Stop(StopReason::Quarantine));
                link.observer.held();
                let rejects = link.on_error == OnError::Reject;
                self.slots[index].asked = Asked::Held;
                let plugin = link.filter.plugin().clone();
                let failed = Failed { plugin, reason: StopReason::Quarantine };
                return if rejects { Err(failed) } else { Ok(()) };
            }
        };
        Ok(())
    }

    /// A filter that was tried out did all that this exchange wanted of it.
    pub(super) fn probe_passed(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if let Asked::Probe(probe) = std::mem::replace(&mut slot.asked, Asked::Run) {
            probe.passed();
        }
    }

    /// The verdict, the fuel it took and the memory it needed.
    fn call<V>(
        &mut self,
        index: usize,
        call: impl FnOnce(&mut dyn Instance, Call) -> Returned<V>,
    ) -> (Result<V, Stop>, u64, u64) {
        let filter = &self.chain.links()[index].filter;
        if self.refuses_slow && filter.is_slow() {
            return (Err(Stop::new(StopReason::Exhausted, NO_ROOM)), 0, 0);
        }
        let slot = &mut self.slots[index];
        if slot.instance.is_none() {
            let started = if slot.has_yielded { filter.resume() } else { filter.start() };
            match started {
                Ok(instance) => slot.instance = Some(instance),
                Err(stop) => return (Err(stop), 0, 0),
            }
        }
        let instance = slot.instance.as_deref_mut().expect("an instance was just put there");
        let allowance = Allowance { fuel: slot.left.fuel.min(self.fuel), ..slot.left };
        let returned = call(
            instance,
            Call {
                exchange: self.exchange.take().expect(LENT),
                state: std::mem::take(&mut slot.state),
                allowance,
            },
        );
        self.exchange = Some(returned.exchange);
        let fuel = allowance.fuel.saturating_sub(returned.left.fuel);
        slot.left = Allowance { fuel: slot.left.fuel.saturating_sub(fuel), ..returned.left };
        self.fuel = self.fuel.saturating_sub(fuel);
        let verdict = match returned.verdict {
            Ok(_) if returned.state.len() > MAX_STATE => Err(Stop::new(
                StopReason::Abi,
                format!("returned a state of {} bytes, at most {MAX_STATE}", returned.state.len()),
            )),
            verdict => {
                slot.state = returned.state;
                verdict
            }
        };
        (verdict, fuel, returned.memory_peak)
    }

    /// An instance whose filter is not needed before the telemetry goes now; slots are scarcer than time at the end.
    fn release_after(&mut self, index: usize, phase: Phase) {
        let later = Phase::ALL.into_iter().filter(|p| *p > phase && *p != Phase::Telemetry);
        let phases = self.link_phases(index);
        let streams = matches!(phase, Phase::RequestBody | Phase::ResponseBody | Phase::Retry);
        if !streams && !later.into_iter().any(|p| phases.has(p)) {
            self.slots[index].instance = None;
        }
    }

    fn disable(&mut self, index: usize, report: &CallReport, stop: Stop) -> Result<(), Failed> {
        let link = &self.chain.links()[index];
        let request_id = self.exchange.as_deref().map_or("", |x| &x.request_id);
        link.observer.stopped(report, &stop, request_id);
        let slot = &mut self.slots[index];
        slot.disabled = true;
        slot.instance = None;
        if let Some(breaker) = link.breaker.as_ref().filter(|_| counts(stop.reason)) {
            breaker.stopped();
            if let Asked::Probe(probe) = std::mem::replace(&mut slot.asked, Asked::Run) {
                probe.failed();
            }
        }
        match link.on_error {
            OnError::Reject => {
                Err(Failed { plugin: link.filter.plugin().clone(), reason: stop.reason })
            }
            OnError::Skip | OnError::SkipEvenAuth => Ok(()),
        }
    }
}
