//! Work that is done after a response, so that no client waits for it.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use edgewit_chain::{Phase, Phases, Run, Summary};
use tokio::{sync::Notify, task::spawn_local};

use crate::shared_run::SharedRun;

/// Telemetry phases of exchanges that have ended, done when the worker comes to it. Nothing is lost: what is left when
/// the worker ends is done then.
#[derive(Default)]
pub(crate) struct Afterwards {
    jobs: RefCell<VecDeque<Job>>,
    ready: Notify,
}

struct Job {
    run: Rc<SharedRun>,
    /// `None`: it is done, or on its way.
    summary: Option<Summary>,
}

const TELEMETRY: Phases = Phases::NONE.with(Phase::Telemetry);

impl Afterwards {
    /// Tells the filters of a run how it ended, soon.
    pub(crate) fn push(&self, run: Rc<SharedRun>, summary: Summary) {
        self.jobs.borrow_mut().push_back(Job { run, summary: Some(summary) });
        self.ready.notify_one();
    }

    /// Does what comes, forever.
    pub(crate) async fn work(&self) {
        loop {
            self.ready.notified().await;
            while let Some(job) = self.take() {
                // A task of its own, so that a job that panics ends alone.
                spawn_local(job.finish());
            }
        }
    }

    /// Does what is left.
    pub(crate) fn finish(&self) {
        while let Some(job) = self.take() {
            drop(job);
        }
    }

    fn take(&self) -> Option<Job> {
        self.jobs.borrow_mut().pop_front()
    }
}

impl Job {
    async fn finish(mut self) {
        self.run.here().await;
        if let Some(summary) = self.summary.take() {
            self.run.step(TELEMETRY, move |run: &mut Run| run.finish(&summary)).await;
        }
    }
}

impl Drop for Job {
    /// The worker ends before it came to it.
    fn drop(&mut self) {
        let Some(summary) = self.summary.take().filter(|_| !std::thread::panicking()) else {
            return;
        };
        if self.run.try_borrow().is_some() {
            self.run.borrow_mut().finish(&summary);
        }
    }
}
