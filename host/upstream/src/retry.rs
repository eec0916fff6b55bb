//! Whether another attempt follows.

use std::time::Duration;

use edgewit_model as model;
use http::Method;

use crate::send::{Failure, Processed};

/// Attempts that a filter may ask for where the configuration leaves the number to it (`attempts = 1`).
const MAX_ATTEMPTS: u32 = 10;

/// Facts about an attempt that has just ended.
#[derive(Debug, Clone)]
pub struct Attempt<'a> {
    /// Of the request.
    pub method: &'a Method,
    /// How it ended.
    pub outcome: Outcome,
    /// 1 for the first.
    pub number: u32,
    /// Left until the deadline of the request.
    pub remaining: Duration,
    /// Whether the body of the request can be sent again, or was not touched.
    pub replayable: bool,
    /// When the upstream wants to be asked again (`Retry-After`, RFC 9110 10.2.3), counted from now.
    pub retry_after: Option<Duration>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response head with this status came; nothing of it has gone to the client.
    Response(u16),
    /// No response came.
    Failed(Failure, Processed),
}

/// What a filter thinks of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proposal {
    /// The client gets this attempt's result.
    Finish,
    /// Another attempt.
    Again {
        /// Pause before it.
        after: Duration,
        /// Avoid the endpoints already tried, if there are others.
        elsewhere: bool,
    },
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The client gets this attempt's result.
    Finish,
    /// Another attempt.
    Again {
        /// Pause before it; ends before the deadline.
        after: Duration,
        /// Avoid the endpoints already tried, if there are others.
        elsewhere: bool,
    },
}

/// Whether another attempt follows.
///
/// A filter's `proposal` replaces the opinion of the `policy` (which outcomes, how long a pause), never the rules: a
/// request that may have been processed is repeated only if its method is idempotent; its body must be replayable and
/// must not have broken off; the number of attempts is bounded; the pause lasts as long as the upstream asks for and
/// must end before the deadline; an upstream that has enough to do gets no more; the budget has the last word. `budget` is asked at most once and only if everything else agrees, so that a retry that does not happen
/// is not charged. `random` is drawn evenly from all numbers, for the jitter.
pub fn decide(
    policy: &model::Retry,
    attempt: &Attempt<'_>,
    proposal: Option<Proposal>,
    random: u64,
    budget: impl FnOnce(u32) -> bool,
) -> Decision {
    let (after, elsewhere) = match proposal {
        Some(Proposal::Finish) => return Decision::Finish,
        Some(Proposal::Again { after, elsewhere }) => (after, elsewhere),
        None if is_wanted(&policy.on, attempt.outcome) => {
            (backoff(policy.backoff, attempt.number, random), true)
        }
        None => return Decision::Finish,
    };
    let after = after.max(attempt.retry_after.unwrap_or_default());
    let bound = match proposal {
        Some(_) if policy.attempts <= 1 => MAX_ATTEMPTS,
        _ => policy.attempts,
    };
    let is_final =
        matches!(attempt.outcome, Outcome::Failed(Failure::Request | Failure::Overloaded, _));
    let allowed = attempt.number < bound
        && !is_final
        && attempt.replayable
        && (is_unprocessed(attempt.outcome) || is_idempotent(attempt.method))
        && after < attempt.remaining
        && budget(policy.budget_percent);
    if allowed { Decision::Again { after, elsewhere } } else { Decision::Finish }
}

/// Whether sending a request twice has the effect of sending it once (RFC 9110 9.2.2). Unknown methods are not.
pub fn is_idempotent(method: &Method) -> bool {
    IDEMPOTENT.contains(method)
}

const IDEMPOTENT: [Method; 6] =
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];

fn is_unprocessed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_, Processed::No))
}

/// The opinion of the policy about an outcome.
fn is_wanted(on: &model::RetryOn, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Response(status) => on.statuses.contains(&status),
        Outcome::Failed(Failure::Connect, _) => on.connect,
        // Nothing was sent or nothing was done with it: the same as no connection.
        Outcome::Failed(Failure::Reset, Processed::No) => on.reset || on.connect,
        Outcome::Failed(Failure::Reset, _) => on.reset,
        Outcome::Failed(Failure::Timeout, _) => on.timeout,
        // An upstream that speaks no HTTP will not learn it, one that has no endpoint will not find one, and a request
        // that broke off has nobody to wait for the answer. A full circuit is full because of attempts.
        Outcome::Failed(
            Failure::Protocol | Failure::Unavailable | Failure::Request | Failure::Overloaded,
            _,
        ) => false,
    }
}

/// A pause between nothing and a bound that doubles with each attempt ("full jitter"): clients that failed together do
/// not come back together.
fn backoff((first, longest): (Duration, Duration), number: u32, random: u64) -> Duration {
    let doubled = first.saturating_mul(1 << number.saturating_sub(1).min(20));
    let bound = u64::try_from(doubled.min(longest).as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(bound) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(share).unwrap_or(bound))
}

#[cfg(test)]
mod tests;
