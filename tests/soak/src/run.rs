//! Everything at once.

use std::{
    any::Any,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    Plan, Report, change::Changes, honest::Honest, hostile::Hostile, sample::Sample, site::Site,
};

/// What has happened so far.
#[derive(Default)]
struct Course {
    requests: u64,
    failed: Vec<String>,
    changes: Changes,
    hostile: Hostile,
}

/// One hostile exchange for so many honest ones.
const HONEST_FOR_EACH: u64 = 99;
/// Between two lines about how it goes.
const TELL: Duration = Duration::from_secs(60);
/// Between two looks at the clock, and at how many requests there were.
const LOOK: Duration = Duration::from_millis(5);

/// Starts the program and does everything to it at once, for as long as the plan says.
pub fn run(plan: &Plan) -> Result<Report> {
    let site = Site::start(plan.program.as_deref());
    let mut course = Course::default();
    // Whatever happens later has happened once before it is measured.
    course.go(&site, plan.warm_up, 0);
    let start = Sample::of_quiet(&site.gateway);
    let before = (course.requests, course.hostile.acts, course.changes.swaps);
    eprintln!("warm: {start:?} after {before:?} requests, hostile ones, and swaps");
    let begun = Instant::now();
    course.go(&site, plan.length, plan.swaps);
    let took = begun.elapsed();
    let end = Sample::of_quiet(&site.gateway);
    let Course { requests, mut failed, changes, hostile } = course;
    failed.extend(hostile.wrong);
    failed.extend(site.gateway.log.with(&["panicked"]));
    Ok(Report {
        took,
        start,
        end,
        requests,
        hostile: hostile.acts,
        swaps: changes.swaps,
        reloads: changes.reloads,
        refused: changes.refused,
        failed,
    })
}

impl Course {
    /// Goes on for this long, until everything has happened at least once, and until there were so many swaps.
    fn go(&mut self, site: &Site, length: Duration, swaps: u64) {
        let Self { changes, hostile, .. } = self;
        let (changed, acted) = (changes.rounds() + 1, hostile.rounds() + 1);
        let (swapped, swaps) = (AtomicU64::new(0), changes.swaps + swaps);
        let honest = Honest::start(site.gateway.address());
        let done = AtomicBool::new(false);
        let (change_rounds, hostile_rounds) = (AtomicU64::new(0), AtomicU64::new(0));
        let ends = thread::scope(|scope| {
            let changing = scope.spawn(|| {
                while !done.load(Relaxed) {
                    changes.step(site);
                    change_rounds.store(changes.rounds(), Relaxed);
                    swapped.store(changes.swaps, Relaxed);
                }
            });
            let attacking = scope.spawn(|| {
                let acts_before = hostile.acts;
                while !done.load(Relaxed) {
                    match (hostile.acts - acts_before) * HONEST_FOR_EACH < honest.requests() {
                        true => hostile.act(site.gateway.address()),
                        false => thread::sleep(LOOK),
                    }
                    hostile_rounds.store(hostile.rounds(), Relaxed);
                }
            });
            let enough = |begun: Instant| {
                begun.elapsed() >= length
                    && swapped.load(Relaxed) >= swaps
                    && change_rounds.load(Relaxed) >= changed
                    && hostile_rounds.load(Relaxed) >= acted
            };
            let (begun, mut told) = (Instant::now(), Instant::now());
            while !(enough(begun) || changing.is_finished() || attacking.is_finished()) {
                thread::sleep(LOOK);
                if told.elapsed() >= TELL {
                    told = Instant::now();
                    let sample = Sample::take(&site.gateway);
                    eprintln!("{:?}: {} requests, {sample:?}", begun.elapsed(), honest.requests());
                }
            }
            done.store(true, Relaxed);
            [("the changes", changing), ("the attacks", attacking)].map(|(who, it)| end(who, it))
        });
        let (requests, failed) = honest.stop();
        self.requests += requests;
        self.failed.extend(failed);
        self.failed.extend(ends.into_iter().flatten());
    }
}

/// Why a thread has given up, if it has.
fn end(who: &str, thread: ScopedJoinHandle<'_, ()>) -> Option<String> {
    let words = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => "no words".to_owned(),
    };
    thread.join().err().map(|panic| format!("{who} gave up: {}", words(panic)))
}
