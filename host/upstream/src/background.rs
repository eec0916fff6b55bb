//! Work that goes on as long as an upstream lives: looking for its endpoints, asking after their health.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::{runtime::Handle, task::AbortHandle};

use crate::upstream::Upstream;

/// The tasks of one upstream. Dropping it, with the upstream, ends them.
#[derive(Default)]
pub(crate) struct Background(Mutex<Vec<AbortHandle>>);

impl Background {
    /// Starts a task that lives as long as this upstream, on the runtime that this thread belongs to. `false`: there is
    /// no runtime, so nothing was started.
    ///
    /// The task gets a weak reference and must not keep a strong one while it waits: it would keep the upstream, and so
    /// itself, alive for ever. It needs no ear for the end: it is aborted where it waits.
    pub(crate) fn spawn<F>(upstream: &Arc<Upstream>, task: impl FnOnce(Weak<Upstream>) -> F) -> bool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else { return false };
        let running = runtime.spawn(task(Arc::downgrade(upstream))).abort_handle();
        let Self(tasks) = upstream.background();
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(running);
        true
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let tasks = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use edgewit_model as model;
    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    fn upstream() -> Arc<Upstream> {
        let endpoint =
            model::Endpoint { tls: false, host: "127.0.0.1".to_owned(), port: 1, weight: 1 };
        let name = model::UpstreamName::new("orders").unwrap();
        Upstream::new(&model::Upstream::new(name, vec![endpoint])).unwrap()
    }

    #[tokio::test]
    async fn a_task_ends_with_its_upstream() {
        let upstream = upstream();
        let (alive, ended) = oneshot::channel::<()>();
        let started = Background::spawn(&upstream, |weak| async move {
            let _alive = alive;
            assert!(weak.upgrade().is_some());
            pending::<()>().await;
        });
        assert!(started);
        tokio::task::yield_now().await;
        drop(upstream);
        let ended = timeout(Duration::from_secs(20), ended).await;
        assert!(ended.expect("the task goes on").is_err());
    }

    #[test]
    fn without_a_runtime_nothing_is_started() {
        assert!(!Background::spawn(&upstream(), |_| async {}));
    }
}
