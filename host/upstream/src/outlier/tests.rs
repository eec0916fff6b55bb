//! Rules as tables.

use super::*;

fn rules() -> model::Outlier {
    model::Outlier {
        consecutive_connects: 2,
        consecutive_failures: 3,
        consecutive_5xx: 4,
        eject: Duration::from_millis(100),
        eject_at_most: Duration::from_millis(250),
        interval: Duration::from_millis(1_000),
        ..model::Outlier::default()
    }
}

#[test]
fn a_rule_is_broken_by_failures_in_a_row() {
    use Ended::{NoConnection as C, NoResponse as F, ServerError as S, Well as W};
    let check = |ended: &[Ended], expected: Option<Reason>| {
        let tally = Tally::default();
        let last = ended.iter().map(|ended| tally.note(&rules(), *ended)).last().flatten();
        assert_eq!(last, expected, "{ended:?}");
    };
    check(&[C], None);
    check(&[C, C], Some(Reason::Connects));
    check(&[C, W, C], None);
    check(&[C, S, C], None);
    check(&[F, F], None);
    check(&[F, F, F], Some(Reason::Failures));
    check(&[F, C, F], Some(Reason::Failures));
    check(&[F, F, W, F], None);
    check(&[F, F, S, F], Some(Reason::ServerErrors));
    check(&[S, S, S], None);
    check(&[S, S, S, S], Some(Reason::ServerErrors));
    check(&[S, S, S, W, S], None);
}

#[test]
fn a_rule_of_zero_is_off() {
    let off = model::Outlier {
        consecutive_connects: 0,
        consecutive_failures: 0,
        consecutive_5xx: 0,
        ..rules()
    };
    let tally = Tally::default();
    for ended in [Ended::NoConnection, Ended::NoResponse, Ended::ServerError] {
        assert!((0..100).all(|_| tally.note(&off, ended).is_none()), "{ended:?}");
    }
}

#[test]
fn by_default_only_connections_count() {
    let (rules, tally) = (model::Outlier::default(), Tally::default());
    assert!((0..100).all(|_| tally.note(&rules, Ended::NoResponse).is_none()));
    assert!((0..100).all(|_| tally.note(&rules, Ended::ServerError).is_none()));
    let noted: Vec<_> = (0..3).map(|_| tally.note(&rules, Ended::NoConnection)).collect();
    assert_eq!(noted, [None, None, Some(Reason::Connects)]);
}

#[test]
fn one_may_always_be_ejected_and_one_always_stays() {
    let check = |endpoints, percent, expected| {
        assert_eq!(allowed(endpoints, percent), expected, "{percent} % of {endpoints}");
    };
    check(0, 50, 0);
    check(1, 50, 0);
    check(1, 100, 0);
    check(2, 50, 1);
    check(2, 10, 1);
    check(3, 50, 1);
    check(4, 50, 2);
    check(10, 100, 9);
    check(10, 0, 0);
    check(usize::MAX, 100, usize::MAX / 100);
}

#[test]
fn ejections_become_longer_and_shorter_again() {
    let all = [Standing::default(), Standing::default()];
    let all: Vec<&Standing> = all.iter().collect();
    let detector = Detector::new(&rules());
    let eject = |now| {
        let made = detector.eject(&all, 0, Reason::Failures, now);
        made.map(|ejection| ejection.lasts.as_millis())
    };
    assert_eq!(eject(0), Some(100));
    assert_eq!(eject(50), None, "it is ejected");
    assert_eq!(eject(100), Some(200));
    assert_eq!(eject(300), Some(250), "not longer than the longest");
    assert_eq!(eject(2_600), Some(200), "two quiet intervals forgive two of three");
    assert_eq!(eject(99_999), Some(100));
    assert_eq!(detector.ejections()[1], ("consecutive-failures", 5));
}

#[test]
fn what_is_left_is_never_ejected() {
    let all: Vec<Standing> = (0..4).map(|_| Standing::default()).collect();
    let all: Vec<&Standing> = all.iter().collect();
    let detector = Detector::new(&rules());
    let made: Vec<bool> =
        (0..4).map(|index| detector.eject(&all, index, Reason::Connects, 0).is_some()).collect();
    assert_eq!(made, [true, true, false, false]);
    let free = all.iter().filter(|standing| standing.is_available(0)).count();
    assert_eq!(free, 2);
}

#[test]
fn workers_together_never_eject_too_many() {
    for _ in 0..50 {
        let all: Vec<Standing> = (0..8).map(|_| Standing::default()).collect();
        let all: Vec<&Standing> = all.iter().collect();
        let detector = Detector::new(&rules());
        std::thread::scope(|scope| {
            for index in 0..8 {
                let (detector, all) = (&detector, &all);
                scope.spawn(move || {
                    (0..20).for_each(|_| {
                        let _ = detector.eject(all, index, Reason::Failures, 0);
                    });
                });
            }
        });
        let out = || all.iter().filter(|standing| standing.is_ejected(0)).count();
        assert!((1..=4).contains(&out()), "{}", out());
        (0..8).for_each(|index| {
            let _ = detector.eject(&all, index, Reason::Failures, 0);
        });
        assert_eq!(out(), 4, "what was put off comes with the next failure");
    }
}

#[test]
fn success_rates_are_compared_once_in_an_interval() {
    let success_rate = Some(model::SuccessRate { requests: 10, ..Default::default() });
    let detector = Detector::new(&model::Outlier { success_rate, ..rules() });
    let all: Vec<Standing> = (0..6).map(|_| Standing::default()).collect();
    let all: Vec<&Standing> = all.iter().collect();
    for (index, standing) in all.iter().enumerate() {
        for number in 0..20 {
            let fails = index == 4 && number % 2 == 0;
            let ended = if fails { Ended::ServerError } else { Ended::Well };
            assert_eq!(detector.note(standing, ended), None);
        }
    }
    assert!(!detector.is_sweep_due(|| 999));
    assert!(detector.is_sweep_due(|| 1_000));
    assert!(!detector.is_sweep_due(|| 1_000));
    let ejected = detector.sweep(&all, 1_000);
    assert_eq!(
        ejected.iter().map(|e| (e.index, e.reason)).collect::<Vec<_>>(),
        [(4, Reason::SuccessRate)]
    );
    assert_eq!(detector.sweep(&all, 2_000), [], "counting began anew");
}
