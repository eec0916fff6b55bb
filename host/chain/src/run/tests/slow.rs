//! Slow filters: found before they are called, and refused.

use super::*;

#[test]
fn a_step_knows_whether_a_slow_filter_may_be_asked_in_it() {
    let slow = |phases: &[Phase]| Behaviour { slow: true, ..with(phases) };
    let mut rig = rig(&[
        ("quick", OnError::Reject, with(&ALL)),
        ("slow", OnError::Reject, slow(&[Phase::Request, Phase::Telemetry])),
    ]);
    let slow = |rig: &Rig, phases: Phases| {
        rig.run.slow(phases).map(|link| link.filter.plugin().as_str().to_owned())
    };
    let one = |phase| Phases::NONE.with(phase);
    assert_eq!(slow(&rig, Phases::REQUEST_SIDE).as_deref(), Some("slow"));
    assert_eq!(slow(&rig, one(Phase::Response)), None);
    assert_eq!(slow(&rig, one(Phase::RequestBody)), None);
    rig.request();
    let failed = Stop::new(StopReason::Trap, "unreachable");
    assert!(rig.run.fail(1, Phase::Request, failed).is_err());
    assert_eq!(slow(&rig, Phases::REQUEST_SIDE), None, "it is not asked any more");
    assert_eq!(slow(&rig, one(Phase::Telemetry)).as_deref(), Some("slow"), "but told");
}

#[test]
fn a_slow_filter_that_is_refused_is_not_called_and_its_on_error_happens() {
    let cases = [(OnError::Reject, true), (OnError::Skip, false), (OnError::SkipEvenAuth, false)];
    for (on_error, fails) in cases {
        let slow = Behaviour { slow: true, ..with(&ALL) };
        let breaker = strict();
        let filters = [("a", OnError::Reject, with(&ALL)), ("slow", on_error, slow)];
        let mut rig = rig_with(&filters, Some(&breaker));
        let passage = rig.run.refusing_slow(|run| run.request_side(&[]));
        match passage {
            Passage::Failed(failed) => {
                assert!(fails, "{on_error:?}");
                assert_eq!(failed.reason, StopReason::Exhausted);
            }
            other => assert!(!fails && matches!(other, Passage::Proceed), "{on_error:?}"),
        }
        assert_eq!(rig.calls(), ["a:auth", "a:request"], "the others are");
        assert!(!breaker.is_open(), "it says nothing about the filter");
        rig.run.finish(&SUMMARY);
        assert_eq!(rig.calls().last().unwrap(), "slow:telemetry", "there is room again");
    }
}

#[test]
fn a_run_can_be_sent_to_another_thread() {
    let mut rig = rig(&[("a", OnError::Reject, with(&ALL))]);
    let there = std::thread::spawn(move || {
        rig.request();
        rig
    });
    let mut rig = there.join().unwrap();
    rig.response();
    rig.run.finish(&SUMMARY);
    assert_eq!(rig.calls(), ["a:auth", "a:request", "a:response", "a:telemetry"]);
}
