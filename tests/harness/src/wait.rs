//! Waiting, never for ever.

use std::{
    future::Future,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, task::JoinHandle};

/// How long anything may take. Two busy cores compile components meanwhile, so it is generous; nothing waits for it that
/// goes well.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Looks again and again until there is something to see.
///
/// # Panics
///
/// After [`DEADLINE`], naming `what` was waited for.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or_tell(|| what.to_owned(), look)
}

/// As [`until`], with words that are made when the time is over.
#[track_caller]
pub fn until_or_tell<T>(what: impl Fn() -> String, look: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, look)
}

/// As [`until_or_tell`], with a deadline of its own.
#[track_caller]
pub(crate) fn within<T>(
    deadline: Duration,
    what: impl Fn() -> String,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < deadline, "waited {deadline:?} for {}", what());
        thread::sleep(LOOK);
    }
}

/// Runs a future on the threads of the harness and waits for it, within [`DEADLINE`].
pub fn block_on<F: Future>(future: F) -> F::Output {
    let within = async { tokio::time::timeout(DEADLINE, future).await };
    runtime().block_on(within).expect("it takes longer than the deadline")
}

/// Starts a task on the threads of the harness.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime().spawn(future)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().expect("a runtime can be made")
    })
}
