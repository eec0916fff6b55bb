//! Decisions as a table.

use edgewit_model::{Retry, RetryOn};
use http::Method;

use super::*;

fn policy() -> Retry {
    let on = RetryOn { connect: true, reset: true, timeout: true, statuses: vec![503] };
    Retry { attempts: 3, on, ..Retry::default() }
}

fn attempt(outcome: Outcome) -> Attempt<'static> {
    Attempt {
        method: &Method::GET,
        outcome,
        number: 1,
        remaining: Duration::from_secs(1),
        replayable: true,
        retry_after: None,
    }
}

const NO_CONNECTION: Outcome = Outcome::Failed(Failure::Connect, Processed::No);
const RESET: Outcome = Outcome::Failed(Failure::Reset, Processed::Maybe);
const REFUSED: Outcome = Outcome::Failed(Failure::Reset, Processed::No);
const AGAIN: Option<Proposal> =
    Some(Proposal::Again { after: Duration::from_millis(7), elsewhere: false });

fn tries_again(policy: &Retry, attempt: &Attempt, proposal: Option<Proposal>) -> bool {
    decide(policy, attempt, proposal, 0, |_| true) != Decision::Finish
}

#[test]
fn the_policy_names_the_outcomes() {
    let check = |outcome, on: RetryOn, expected| {
        let policy = Retry { on, ..policy() };
        assert_eq!(tries_again(&policy, &attempt(outcome), None), expected, "{outcome:?}");
    };
    let none = RetryOn::default;
    check(NO_CONNECTION, RetryOn { connect: true, ..none() }, true);
    check(NO_CONNECTION, RetryOn { reset: true, timeout: true, ..none() }, false);
    check(RESET, RetryOn { reset: true, ..none() }, true);
    check(RESET, RetryOn { connect: true, timeout: true, ..none() }, false);
    check(REFUSED, RetryOn { connect: true, ..none() }, true);
    let timeout = Outcome::Failed(Failure::Timeout, Processed::Maybe);
    check(timeout, RetryOn { timeout: true, ..none() }, true);
    check(timeout, RetryOn { connect: true, reset: true, ..none() }, false);
    check(Outcome::Response(503), RetryOn { statuses: vec![502, 503], ..none() }, true);
    check(Outcome::Response(500), RetryOn { statuses: vec![502, 503], ..none() }, false);
    let all = || RetryOn { connect: true, reset: true, timeout: true, statuses: vec![503] };
    check(Outcome::Failed(Failure::Protocol, Processed::Maybe), all(), false);
    check(Outcome::Failed(Failure::Unavailable, Processed::No), all(), false);
    check(Outcome::Failed(Failure::Request, Processed::Maybe), all(), false);
}

#[test]
fn a_request_that_may_have_been_processed_is_repeated_only_if_idempotent() {
    let check = |method: &Method, outcome, expected| {
        let attempt = Attempt { method, ..attempt(outcome) };
        assert_eq!(tries_again(&policy(), &attempt, None), expected, "{method} {outcome:?}");
        assert_eq!(tries_again(&policy(), &attempt, AGAIN), expected, "{method} {outcome:?}");
    };
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        check(&method, RESET, true);
        check(&method, Outcome::Response(503), true);
    }
    for method in ["POST", "PATCH", "CONNECT", "LOCK", "get"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        check(&method, RESET, false);
        check(&method, Outcome::Response(503), false);
        check(&method, NO_CONNECTION, true);
        check(&method, REFUSED, true);
    }
}

#[test]
fn a_filter_replaces_the_opinion_and_never_the_rules() {
    let ok = attempt(Outcome::Response(200));
    assert!(tries_again(&policy(), &ok, AGAIN), "an outcome that the policy does not name");
    assert!(!tries_again(&policy(), &attempt(RESET), Some(Proposal::Finish)));
    assert!(!tries_again(&policy(), &Attempt { replayable: false, ..ok.clone() }, AGAIN));
    assert!(!tries_again(&policy(), &Attempt { number: 3, ..ok.clone() }, AGAIN));
    let broke_off = attempt(Outcome::Failed(Failure::Request, Processed::No));
    assert!(!tries_again(&policy(), &broke_off, AGAIN));
    let late = Attempt { remaining: Duration::from_millis(7), ..ok.clone() };
    assert!(!tries_again(&policy(), &late, AGAIN));
    assert_eq!(decide(&policy(), &ok, AGAIN, 0, |_| false), Decision::Finish);
    let granted = decide(&policy(), &ok, AGAIN, u64::MAX, |_| true);
    assert_eq!(granted, Decision::Again { after: Duration::from_millis(7), elsewhere: false });
}

#[test]
fn attempts_are_bounded() {
    let check = |attempts, number, proposal, expected| {
        let policy = Retry { attempts, ..policy() };
        let attempt = Attempt { number, ..attempt(RESET) };
        assert_eq!(tries_again(&policy, &attempt, proposal), expected, "{attempts} {number}");
    };
    check(1, 1, None, false);
    check(3, 2, None, true);
    check(3, 3, None, false);
    check(3, 3, AGAIN, false);
    check(1, 1, AGAIN, true);
    check(1, 9, AGAIN, true);
    check(1, 10, AGAIN, false);
}

#[test]
fn nothing_is_repeated_past_the_deadline() {
    let check = |remaining, random, expected| {
        let attempt = Attempt { remaining: Duration::from_millis(remaining), ..attempt(RESET) };
        let again = decide(&policy(), &attempt, None, random, |_| true) != Decision::Finish;
        assert_eq!(again, expected, "{remaining} ms");
    };
    check(0, 0, false);
    check(1, 0, true);
    check(24, u64::MAX, false);
    check(25, u64::MAX, true);
}

#[test]
fn an_upstream_that_asks_for_time_gets_it() {
    let check = |seconds, remaining, proposal, expected: Option<u64>| {
        let attempt = Attempt {
            retry_after: Some(Duration::from_secs(seconds)),
            remaining: Duration::from_secs(remaining),
            ..attempt(Outcome::Response(503))
        };
        let after = match decide(&policy(), &attempt, proposal, 0, |_| true) {
            Decision::Again { after, .. } => Some(after.as_millis() as u64),
            Decision::Finish => None,
        };
        assert_eq!(after, expected, "{seconds} s of {remaining}");
    };
    check(2, 5, None, Some(2_000));
    check(2, 5, AGAIN, Some(2_000)); // a filter proposes, this rule disposes
    check(5, 5, None, None);
    check(5, 5, AGAIN, None);
    check(0, 5, AGAIN, Some(7));
}

#[test]
fn a_full_circuit_gets_no_second_attempt() {
    let full = attempt(Outcome::Failed(Failure::Overloaded, Processed::No));
    assert!(!tries_again(&policy(), &full, None));
    assert!(!tries_again(&policy(), &full, AGAIN));
}

#[test]
fn the_budget_is_asked_last_with_the_share_of_the_policy() {
    let policy = Retry { budget_percent: 35, ..policy() };
    let asked = |attempt: &Attempt| {
        let mut asked = None;
        decide(&policy, attempt, None, 0, |percent| {
            asked = Some(percent);
            true
        });
        asked
    };
    assert_eq!(asked(&attempt(RESET)), Some(35));
    assert_eq!(asked(&Attempt { number: 3, ..attempt(RESET) }), None);
    assert_eq!(asked(&Attempt { replayable: false, ..attempt(RESET) }), None);
    assert_eq!(asked(&Attempt { remaining: Duration::ZERO, ..attempt(RESET) }), None);
    assert_eq!(asked(&Attempt { method: &Method::POST, ..attempt(RESET) }), None);
    assert_eq!(asked(&attempt(Outcome::Response(200))), None);
}

#[test]
fn the_pause_doubles_up_to_its_bound_with_full_jitter() {
    let range = (Duration::from_millis(25), Duration::from_millis(250));
    let check = |number, ms: u64| {
        assert_eq!(backoff(range, number, 0), Duration::ZERO);
        let half = backoff(range, number, 1 << 63);
        assert_eq!(half, Duration::from_micros(ms * 500), "attempt {number}");
        assert!(backoff(range, number, u64::MAX) < Duration::from_millis(ms));
    };
    check(1, 25);
    check(2, 50);
    check(3, 100);
    check(4, 200);
    check(5, 250);
    check(u32::MAX, 250);
}
