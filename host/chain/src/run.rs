//! One exchange on its way through a chain.

mod request;

mod ask;

mod slow;

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use edgewit_model::PluginName;
use http::HeaderMap;

use crate::{
    breaker::Probe,
    chain::Chain,
    exchange::Exchange,
    filter::{Allowance, Call, Instance, Outcome},
    header_out::HeaderOut,
    phase::{Phase, Phases},
    stop::{Stop, StopReason},
    verdict::{Answer, Attempt, BodyVerdict, Edit, ResponseVerdict, RetryVerdict, Summary},
};

/// One exchange on its way through a chain: asks each filter in its phase and applies what it decided.
///
/// The filters' order is the chain's on the request side, where each filter does all its request phases when its turn
/// comes, and the reverse on the response side. A filter that failed is not asked again in this exchange, but for its
/// telemetry.
pub struct Run {
    chain: Arc<Chain>,
    exchange: Option<Box<Exchange>>,
    slots: Vec<Slot>,
    fuel: u64,
    reached: usize,
    response_side: Option<usize>,
    /// Whether filters that are slow fail instead of being called.
    refuses_slow: bool,
}

/// How the request side went.
#[derive(Debug)]
pub enum Passage {
    /// Every filter let it pass.
    Proceed,
    /// A filter answered or denied.
    Answer(Answer),
    /// A filter failed, and its `on-error` rejects.
    Failed(Failed),
}

/// How the response side went.
#[derive(Debug)]
pub enum ResponsePassage {
    /// Every filter was asked; the head in the exchange is final.
    Done,
    /// A filter put this body in the place of the response's; its head is in the exchange. Call again.
    Replaced(bytes::Bytes),
    /// A filter failed. Put the host's answer into the exchange and call again, so that the filters before it see it.
    Failed(Failed),
}

/// A filter failed, and its `on-error` rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Whose filter.
    pub plugin: PluginName,
    /// Why.
    pub reason: StopReason,
}

/// What a filter that judged an attempt wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proposal {
    /// The client gets this result.
    Finish,
    /// Try again.
    Again {
        /// Pause before the attempt.
        after: Duration,
        /// Avoid endpoints already tried.
        elsewhere: bool,
    },
}

/// What one filter cost over an exchange, for the access log.
#[derive(Debug, Clone, Copy)]
pub struct SlotReport<'a> {
    /// The plugin.
    pub plugin: &'a PluginName,
    /// Its version.
    pub version: &'a str,
    /// Time of all its calls.
    pub duration: Duration,
    /// Fuel of all its calls.
    pub fuel: u64,
    /// How its last call ended; `None` if it was not called.
    pub outcome: Option<Outcome>,
}

struct Slot {
    instance: Option<Box<dyn Instance>>,
    /// Whether it had an instance and gave it back while it waited.
    has_yielded: bool,
    state: Vec<u8>,
    left: Allowance,
    disabled: bool,
    duration: Duration,
    outcome: Option<Outcome>,
    /// Whether its breaker was asked, and what for.
    asked: Asked,
}

/// What a filter's breaker said to this exchange.
enum Asked {
    /// Nothing yet.
    NotYet,
    /// It may run.
    Run,
    /// It may run, and what comes of it counts.
    Probe(Probe),
    /// It is in quarantine.
    Held,
}

/// What a filter lets go on, or how the request side ends.
type Step = ControlFlow<Passage>;

impl Run {
    pub(crate) fn new(chain: Arc<Chain>, exchange: Box<Exchange>) -> Self {
        let slot = |link: &crate::Link| Slot {
            instance: None,
            has_yielded: false,
            state: Vec::new(),
            left: link.filter.allowance(),
            disabled: false,
            duration: Duration::ZERO,
            outcome: None,
            asked: Asked::NotYet,
        };
        let slots = chain.links().iter().map(slot).collect();
        let fuel = chain.request_fuel();
        Self {
            chain,
            exchange: Some(exchange),
            slots,
            fuel,
            reached: 0,
            response_side: None,
            refuses_slow: false,
        }
    }

    /// The exchange, as the filters so far have left it.
    pub fn exchange(&self) -> &Exchange {
        self.exchange.as_deref().expect(LENT)
    }

    /// The exchange, for the host's own changes.
    pub fn exchange_mut(&mut self) -> &mut Exchange {
        self.exchange.as_deref_mut().expect(LENT)
    }

    /// Phases that any filter of the chain exports.
    pub fn phases(&self) -> Phases {
        self.chain.phases()
    }

    /// Asks the last filter of the chain that judges attempts, if there is one. After a response, its head must be in the
    /// exchange.
    pub fn judge(&mut self, attempt: &Attempt) -> Result<Option<Proposal>, Failed> {
        let judges = |i: &usize| self.phases_of(*i).has(Phase::Retry);
        let Some(index) = (0..self.reached).rev().find(judges) else { return Ok(None) };
        let verdict = self.ask(index, Phase::Retry, |i, call| i.judge(call, attempt), |_| false)?;
        Ok(verdict.map(|verdict| match verdict {
            RetryVerdict::Finish => Proposal::Finish,
            RetryVerdict::Again { after_ms, elsewhere } => {
                Proposal::Again { after: Duration::from_millis(after_ms.into()), elsewhere }
            }
        }))
    }

    /// Takes the response's head, which must be in the exchange, back through the filters that the request reached.
    ///
    /// Call until it says [`ResponsePassage::Done`].
    pub fn response_side(&mut self) -> ResponsePassage {
        let mut cursor = self.response_side.unwrap_or(self.reached);
        while let Some(index) = cursor.checked_sub(1) {
            cursor = index;
            self.response_side = Some(cursor);
            if !self.phases_of(index).has(Phase::Response) {
                continue;
            }
            let verdict = self.ask(
                index,
                Phase::Response,
                |i, call| i.on_response(call),
                |v| matches!(v, ResponseVerdict::Replace(_)),
            );
            match verdict {
                Ok(Some(ResponseVerdict::Proceed { status, edits })) => {
                    if let Err(failed) = self.edit_response(index, &edits) {
                        return ResponsePassage::Failed(failed);
                    }
                    if let (Some(status), Some(head)) =
                        (status, self.exchange_mut().response.as_mut())
                    {
                        head.status = status;
                    }
                }
                Ok(Some(ResponseVerdict::Replace(answer))) => {
                    let body = answer.body.clone();
                    self.exchange_mut().response = Some(answer.into_head());
                    return ResponsePassage::Replaced(body);
                }
                Ok(None) => {}
                Err(failed) => return ResponsePassage::Failed(failed),
            }
        }
        self.response_side = Some(0);
        // What follows may take hours; a filter that has no part in it has passed.
        for index in 0..self.reached {
            let phases = self.link_phases(index);
            if !phases.has(Phase::RequestBody) && !phases.has(Phase::ResponseBody) {
                self.probe_passed(index);
            }
        }
        ResponsePassage::Done
    }

    /// Shows a part of a body to one filter. `None`: the filter is out of action and is passed over.
    pub(crate) fn body(
        &mut self,
        index: usize,
        phase: Phase,
        chunk: &[u8],
        end: bool,
    ) -> Result<Option<BodyVerdict>, Failed> {
        let call = |i: &mut dyn Instance, call: Call| match phase {
            Phase::RequestBody => i.on_request_body(call, chunk, end),
            _ => i.on_response_body(call, chunk, end),
        };
        self.ask(index, phase, call, |v| matches!(v, BodyVerdict::Answer(_) | BodyVerdict::Cut))
    }

    /// Tells the filters that the request reached what came of it. Their failures change nothing any more.
    ///
    /// Fuel and host calls are counted anew, so that a filter is told even of an exchange in which they were used up.
    pub fn finish(&mut self, summary: &Summary) {
        self.fuel = self.chain.request_fuel();
        for index in 0..self.reached {
            let held = matches!(self.slots[index].asked, Asked::Held);
            if self.link_phases(index).has(Phase::Telemetry) && !held {
                let whole = self.chain.links()[index].filter.allowance();
                let slot = &mut self.slots[index];
                let Allowance { log_lines, prints, .. } = slot.left;
                slot.left = Allowance { log_lines, prints, ..whole };
                slot.disabled = false;
                let _ = self.ask(index, Phase::Telemetry, |i, c| i.record(c, summary), |()| false);
            }
            self.slots[index].instance = None;
            self.probe_passed(index);
        }
    }

    /// Gives back instances while only the upstream works, if others can use them or room is short. State stays, since it
    /// never lives in an instance.
    pub fn yield_instances(&mut self) {
        for (slot, link) in self.slots.iter_mut().zip(self.chain.links()) {
            if slot.instance.is_some() && link.filter.yields() {
                slot.instance = None;
                slot.has_yielded = true;
            }
        }
    }

    /// What each filter cost so far.
    pub fn reports(&self) -> impl Iterator<Item = SlotReport<'_>> {
        self.slots.iter().zip(self.chain.links()).map(|(slot, link)| SlotReport {
            plugin: link.filter.plugin(),
            version: link.filter.version(),
            duration: slot.duration,
            fuel: link.filter.allowance().fuel.saturating_sub(slot.left.fuel),
            outcome: slot.outcome,
        })
    }

    /// Positions of the filters that take part in a body phase, in chain order.
    pub(crate) fn participants(&self, phase: Phase) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.reached).filter(move |i| self.phases_of(*i).has(phase))
    }

    pub(crate) fn needs(&self, index: usize) -> &crate::Needs {
        self.chain.links()[index].filter.needs()
    }

    fn link_phases(&self, index: usize) -> Phases {
        self.chain.links()[index].filter.phases()
    }

    /// Phases in which the filter at this position is still asked.
    fn phases_of(&self, index: usize) -> Phases {
        if self.slots[index].disabled { Phases::NONE } else { self.link_phases(index) }
    }

    fn edit_request(&mut self, index: usize, phase: Phase, edits: &[Edit]) -> Step {
        if edits.is_empty() {
            return ControlFlow::Continue(());
        }
        match apply(edits, &mut self.exchange_mut().fields) {
            Ok(()) => ControlFlow::Continue(()),
            Err(stop) => self.refuse(index, phase, stop),
        }
    }

    fn edit_response(&mut self, index: usize, edits: &[Edit]) -> Result<(), Failed> {
        let Some(head) = self.exchange_mut().response.as_mut() else { return Ok(()) };
        match apply(edits, &mut head.fields) {
            Ok(()) => Ok(()),
            Err(stop) => self.fail(index, Phase::Response, stop),
        }
    }

    /// The filter's verdict cannot be carried out.
    fn refuse(&mut self, index: usize, phase: Phase, stop: Stop) -> Step {
        match self.fail(index, phase, stop) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failed) => ControlFlow::Break(Passage::Failed(failed)),
        }
    }
}

const LENT: &str = "the exchange is here between calls";

fn apply(edits: &[Edit], fields: &mut HeaderMap) -> Result<(), Stop> {
    HeaderOut::apply(edits, fields).map_err(|e| Stop::new(StopReason::Abi, e.to_string()))
}

#[cfg(test)]
mod tests;
