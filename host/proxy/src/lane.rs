//! Threads for calls of filters that take long, so that nobody else waits for them.

mod queue;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use edgewit_model::PluginName;
use tokio::runtime::Builder;

use queue::Queue;

/// Threads for calls of filters that take long. They are started when there is something to do, have less weight than workers
/// where both want a processor, and give each plugin the same share of their time.
#[derive(Debug)]
pub(crate) struct Lane {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A step of a run. It is done exactly once, whatever happens.
pub(crate) type Job = Box<dyn FnOnce(Fate) + Send>;

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done.
    Done,
    /// It has to come to its end at once, without what takes long.
    Refused,
}

struct Inner {
    state: Mutex<State>,
    work: Condvar,
    most_threads: usize,
}

struct State {
    queue: Queue<Waiting>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

struct Waiting {
    since: Instant,
    job: Job,
}

/// After this time a job is refused: clients that have waited so long rarely wait for what would still come, and those
/// behind them get their turn earlier.
const MOST_WAIT: Duration = Duration::from_secs(5);
/// By how much its threads are nicer than workers: they get about a tenth of a processor that a worker wants as well.
const NICENESS: i32 = 10;

impl Lane {
    /// At most this many threads.
    pub(crate) fn new(most_threads: usize) -> Self {
        let state = State { queue: Queue::default(), threads: 0, idle: 0, is_over: false };
        let (state, work) = (Mutex::new(state), Condvar::new());
        Self { inner: Arc::new(Inner { state, work, most_threads }), threads: Mutex::default() }
    }

    /// Has a job done, unless too many of this plugin wait or there is no thread: then it comes back.
    pub(crate) fn send(&self, plugin: &PluginName, job: Job) -> Result<(), Job> {
        let mut state = self.inner.lock();
        if state.idle == 0 && state.threads < self.inner.most_threads {
            match self.start() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    tracing::error!(%error, "no thread for filters whose calls take long");
                    return Err(job);
                }
                Err(_) => {} // those that run will do it
            }
        }
        let waiting = Waiting { since: Instant::now(), job };
        state.queue.push(plugin, waiting).map_err(|waiting| waiting.job)?;
        drop(state);
        self.inner.work.notify_one();
        Ok(())
    }

    fn start(&self) -> io::Result<()> {
        let inner = Arc::clone(&self.inner);
        let thread = std::thread::Builder::new().name("lane".to_owned());
        // As on a worker: what a component asks of WASI may look for an event loop, though it never waits for one.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = thread.spawn(move || {
            let _entered = runtime.enter();
            inner.work();
        })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }
}

impl Drop for Lane {
    /// Workers end before and wait for their runs, so that nothing is left; if anything were, it would be refused.
    fn drop(&mut self) {
        self.inner.lock().is_over = true;
        self.inner.work.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what comes until the lane is over, and refuses what is left then.
    fn work(&self) {
        // Of this thread alone, on Linux. Without it the lane works as well; its neighbours notice it more.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        crate::turns::lengthen(); // a worker may have begun it
        let mut state = self.lock();
        loop {
            let Some((plugin, Waiting { since, job })) = state.queue.pop() else {
                if state.is_over {
                    return;
                }
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            let begun = Instant::now();
            let is_late = begun.saturating_duration_since(since) > MOST_WAIT;
            let fate = if state.is_over || is_late { Fate::Refused } else { Fate::Done };
            drop(state);
            // A job that panics has told whoever waits for it.
            let _ = catch_unwind(AssertUnwindSafe(|| job(fate)));
            state = self.lock();
            state.queue.took(&plugin, begun.elapsed());
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("most_threads", &self.most_threads).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn plugin(name: &str) -> PluginName {
        PluginName::new(name).unwrap()
    }

    /// A job that says that it runs, then waits to be let go.
    fn blocking() -> (Job, Receiver<Fate>, Sender<()>) {
        let (begun, has_begun) = channel();
        let (go, gone) = channel::<()>();
        let job = move |fate| {
            let _ = begun.send(fate);
            let _ = gone.recv();
        };
        (Box::new(job), has_begun, go)
    }

    fn sent(lane: &Lane, name: &str, job: Job) {
        assert!(lane.send(&plugin(name), job).is_ok());
    }

    #[test]
    fn no_more_threads_are_started_than_it_may_have_and_none_without_work() {
        let lane = Lane::new(2);
        assert_eq!(lane.inner.lock().threads, 0);
        let jobs: Vec<_> = (0..5)
            .map(|_| {
                let (job, begun, go) = blocking();
                sent(&lane, "a", job);
                (begun, go)
            })
            .collect();
        for (begun, _) in &jobs[..2] {
            assert_eq!(begun.recv_timeout(PATIENCE), Ok(Fate::Done));
        }
        assert!(jobs[2..].iter().all(|(begun, _)| begun.try_recv().is_err()));
        assert_eq!(lane.inner.lock().threads, 2);
        for (begun, go) in jobs {
            drop(go);
            drop(begun);
        }
    }

    #[test]
    fn a_job_finds_an_event_loop_as_on_a_worker() {
        let lane = Lane::new(1);
        let (tell, told) = channel();
        let job = move |_| tell.send(tokio::runtime::Handle::try_current().is_ok()).unwrap();
        sent(&lane, "a", Box::new(job));
        assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
    }

    #[test]
    fn a_job_that_panics_ends_alone() {
        let lane = Lane::new(1);
        sent(&lane, "a", Box::new(|_| panic!("on purpose")));
        let (job, begun, _) = blocking();
        sent(&lane, "a", job);
        assert_eq!(begun.recv_timeout(PATIENCE), Ok(Fate::Done));
    }

    #[test]
    fn what_still_waits_at_the_end_is_refused_and_not_lost() {
        let lane = Lane::new(1);
        let (first, begun, go) = blocking();
        sent(&lane, "a", first);
        begun.recv_timeout(PATIENCE).unwrap();
        let (second, fate, _) = blocking();
        sent(&lane, "a", second);
        let inner = Arc::clone(&lane.inner);
        let ended = std::thread::spawn(move || drop(lane));
        while !inner.lock().is_over {
            std::thread::yield_now();
        }
        drop(go);
        ended.join().unwrap();
        assert_eq!(fate.try_recv(), Ok(Fate::Refused));
    }

    #[test]
    fn a_job_for_which_there_is_no_room_comes_back() {
        let lane = Lane::new(1);
        let (first, begun, _go) = blocking();
        sent(&lane, "a", first);
        begun.recv_timeout(PATIENCE).unwrap();
        let full = (0..10_000).find(|_| lane.send(&plugin("a"), Box::new(|_| ())).is_err());
        assert_eq!(full, Some(queue::MOST_WAITING));
        sent(&lane, "b", Box::new(|_| ()));
    }
}
