//! The streams of an HTTP/2 connection, each a task of its own.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::{AbortHandle, spawn_local},
    time::{Instant, Sleep, sleep_until},
};

/// Runs the streams of one connection and resets those whose client takes nothing (THREATS A23): a window that stays
/// closed is not seen by the body, which is not asked for more, nor by the connection, which goes on.
#[derive(Clone)]
pub(crate) struct Streams {
    /// Of the request that was handed out last and whose stream has not been run yet.
    next: Rc<Next>,
    stall: Duration,
}

type Next = RefCell<Option<Rc<StreamWatch>>>;

/// Whether it is the client's turn.
#[derive(Default)]
pub(crate) struct StreamWatch {
    /// Since when the client has had something to take.
    since: Cell<Option<Instant>>,
    next: Weak<Next>,
    writer: Cell<Writer>,
}

/// The task of hyper's that writes to a client whose stream has left HTTP.
#[derive(Default)]
enum Writer {
    #[default]
    None,
    /// hyper begins it with the response.
    Expected,
    Running(AbortHandle),
}

impl Streams {
    pub(crate) fn new(stall: Duration) -> Self {
        Self { next: Rc::default(), stall }
    }

    /// A request came; its stream is the next that is run.
    pub(crate) fn begin(&self) -> Rc<StreamWatch> {
        let next = Rc::downgrade(&self.next);
        let watch = Rc::new(StreamWatch { next, ..StreamWatch::default() });
        *self.next.borrow_mut() = Some(Rc::clone(&watch));
        watch
    }
}

impl StreamWatch {
    /// The response handed out a part.
    pub(crate) fn handed(&self) {
        self.since.set(Some(Instant::now()));
    }

    /// The response that is about to be returned makes the stream leave HTTP. Nothing is awaited until hyper has begun the
    /// task that writes to it.
    pub(crate) fn leaves_http(self: &Rc<Self>) {
        if let Some(next) = self.next.upgrade() {
            self.writer.set(Writer::Expected);
            *next.borrow_mut() = Some(Rc::clone(self));
        }
    }

    /// Resets the stream that has left HTTP. Left to itself hyper ends it as if all had been said.
    pub(crate) fn reset(&self) {
        if let Writer::Running(writer) = self.writer.take() {
            writer.abort();
        }
    }

    /// The response was asked for the next part.
    pub(crate) fn asked(&self) {
        self.since.set(None);
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let watch = self.next.borrow_mut().take();
        let of_tunnel = watch.clone().filter(|w| matches!(w.writer.take(), Writer::Expected));
        let stream = Watched { stream: Box::pin(stream), watch, stall: self.stall, timer: None };
        let task = spawn_local(stream);
        if let Some(watch) = of_tunnel {
            watch.writer.set(Writer::Running(task.abort_handle()));
        }
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
