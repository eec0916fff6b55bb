//! A short soak, so that the long one works when it is wanted.

use std::time::Duration;

use edgewit_soak::{Plan, run};

#[test]
fn a_short_soak_grows_nothing_and_fails_nothing() {
    let seconds = Duration::from_secs;
    let plan = Plan { length: seconds(5), warm_up: seconds(5), swaps: 0, program: None };
    let report = run(&plan).unwrap();
    println!("{report}");
    assert!(report.broken().is_empty(), "{report}");
    assert!(report.requests > 1_000 && report.swaps > 20 && report.hostile > 30, "{report}");
}
