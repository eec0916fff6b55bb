//! The streams of an HTTP/2 connection, each a task of its own.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::spawn_local,
    time::{Instant, Sleep, sleep_until},
};

/// Runs the streams of one connection and resets those whose client takes nothing (THREATS A23): a window that stays
/// closed is not seen by the body, which is not asked for more, nor by the connection, which goes on.
#[derive(Clone)]
pub(crate) struct Streams {
    /// Of the request that was handed out last and whose stream has not been run yet.
    next: Rc<RefCell<Option<Rc<StreamWatch>>>>,
    stall: Duration,
}

/// Whether it is the client's turn.
#[derive(Debug, Default)]
pub(crate) struct StreamWatch {
    /// Since when the client has had something to take.
    since: Cell<Option<Instant>>,
}

impl Streams {
    pub(crate) fn new(stall: Duration) -> Self {
        Self { next: Rc::default(), stall }
    }

    /// A request came; its stream is the next that is run.
    pub(crate) fn begin(&self) -> Rc<StreamWatch> {
        let watch = Rc::new(StreamWatch::default());
        *self.next.borrow_mut() = Some(Rc::clone(&watch));
        watch
    }
}

impl StreamWatch {
    /// The response handed out a part.
    pub(crate) fn handed(&self) {
        self.since.set(Some(Instant::now()));
    }

    /// The response was asked for the next part.
    pub(crate) fn asked(&self) {
        self.since.set(None);
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let watch = self.next.borrow_mut().take();
        spawn_local(Watched { stream: Box::pin(stream), watch, stall: self.stall, timer: None });
    }
}

/// A stream that ends when its client takes nothing for too long; dropping it resets it.
struct Watched<F> {
    stream: Pin<Box<F>>,
    watch: Option<Rc<StreamWatch>>,
    stall: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let since = this.watch.as_ref().and_then(|watch| watch.since.get());
        let Some(since) = since else { return Poll::Pending };
        let deadline = since + this.stall;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}
