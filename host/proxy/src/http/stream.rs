//! The streams of an HTTP/2 connection, each a task of its own.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use tokio::task::{AbortHandle, spawn_local};

use super::Budget;
use crate::patience::Patience;

/// Runs the streams of one connection and resets those whose client takes nothing (THREATS A23): a window that stays
/// closed is not seen by the body, which is not asked for more, nor by the connection, which goes on.
#[derive(Clone)]
pub(crate) struct Streams {
    /// Of the request that was handed out last and whose stream has not been run yet.
    next: Rc<Next>,
    stall: Duration,
    rate: Option<u32>,
    budget: Rc<Budget>,
}

type Next = RefCell<Option<Rc<StreamWatch>>>;

/// Whether it is the client's turn, and what it has to take.
pub(crate) struct StreamWatch {
    /// The chunk that was handed out and not taken, in bytes.
    offered: Cell<Option<usize>>,
    /// The chunk before, which may not be on the socket yet.
    before: Cell<usize>,
    patience: RefCell<Patience>,
    budget: Rc<Budget>,
    next: Weak<Next>,
    writer: Cell<Writer>,
    /// The response came to its end, and h2 has all of it.
    served: Cell<bool>,
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
    /// `stall`, `rate`: how long a client may take nothing, and how many bytes a second it takes at least.
    pub(crate) fn new(stall: Duration, rate: Option<u32>, budget: &Rc<Budget>) -> Self {
        Self { next: Rc::default(), stall, rate, budget: Rc::clone(budget) }
    }

    /// A request came; its stream is the next that is run.
    pub(crate) fn begin(&self) -> Rc<StreamWatch> {
        self.budget.opened();
        let watch = Rc::new(StreamWatch {
            offered: Cell::new(None),
            before: Cell::new(0),
            patience: RefCell::new(Patience::new(self.stall, self.rate)),
            budget: Rc::clone(&self.budget),
            next: Rc::downgrade(&self.next),
            writer: Cell::default(),
            served: Cell::new(false),
        });
        *self.next.borrow_mut() = Some(Rc::clone(&watch));
        watch
    }
}

impl StreamWatch {
    /// The response handed out so many bytes.
    pub(crate) fn handed(&self, bytes: usize) {
        if self.offered.replace(Some(bytes)).is_none() {
            self.budget.offer(bytes);
        }
    }

    /// What was handed out last was the end of the response.
    pub(crate) fn served(&self) {
        self.served.set(true);
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

    /// The response was asked for the next part. Ready: it may fetch it.
    pub(crate) fn poll_asked(&self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(bytes) = self.offered.take() {
            self.patience.borrow_mut().moved(bytes);
            self.before.set(bytes);
            self.budget.taken();
        }
        self.budget.poll_room(cx)
    }

    /// Ready: the client has taken nothing for too long.
    fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.offered.get() {
            Some(_) => self.patience.borrow_mut().poll_over(cx),
            None => Poll::Pending,
        }
    }
}

impl Drop for StreamWatch {
    fn drop(&mut self) {
        let offered = self.offered.take();
        if offered.is_some() {
            self.budget.taken();
        }
        // A stream that was served to its end handed all to h2, which writes it; what it was asked for last is gone.
        let lost = offered.map_or(0, |offered| offered + self.before.get());
        if !self.served.get() {
            self.budget.lost(lost);
        }
        self.budget.closed(lost);
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let watch = self.next.borrow_mut().take();
        let of_tunnel = watch.clone().filter(|w| matches!(w.writer.take(), Writer::Expected));
        let task = spawn_local(Watched { stream: Box::pin(stream), watch });
        if let Some(watch) = of_tunnel {
            watch.writer.set(Writer::Running(task.abort_handle()));
        }
    }
}

/// A stream that ends when its client takes nothing for too long; dropping it resets it.
struct Watched<F> {
    stream: Pin<Box<F>>,
    watch: Option<Rc<StreamWatch>>,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        this.watch.as_ref().map_or(Poll::Pending, |watch| watch.poll_over(cx))
    }
}
