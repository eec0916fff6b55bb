//! Work that is done after a response, so that no client waits for it.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use edgewit_chain::{Run, Summary};
use tokio::{sync::Notify, task::spawn_local};

/// Telemetry phases of exchanges that have ended, done when the worker comes to it. Nothing is lost: what is left when
/// the worker ends is done then.
#[derive(Default)]
pub(crate) struct Afterwards {
    jobs: RefCell<VecDeque<Job>>,
    ready: Notify,
}

struct Job {
    run: Rc<RefCell<Run>>,
    summary: Summary,
}

impl Afterwards {
    /// Tells the filters of a run how it ended, soon.
    pub(crate) fn push(&self, run: Rc<RefCell<Run>>, summary: Summary) {
        self.jobs.borrow_mut().push_back(Job { run, summary });
        self.ready.notify_one();
    }

    /// Does what comes, forever.
    pub(crate) async fn work(&self) {
        loop {
            self.ready.notified().await;
            while let Some(job) = self.take() {
                // A task of its own, so that a job that panics ends alone.
                spawn_local(async move { job.finish() });
            }
        }
    }

    /// Does what is left.
    pub(crate) fn finish(&self) {
        while let Some(job) = self.take() {
            job.finish();
        }
    }

    fn take(&self) -> Option<Job> {
        self.jobs.borrow_mut().pop_front()
    }
}

impl Job {
    fn finish(self) {
        if let Ok(mut run) = self.run.try_borrow_mut() {
            run.finish(&self.summary);
        }
    }
}
