//! The runs of one worker that are on the lane.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    rc::Rc,
    sync::Arc,
};

use edgewit_chain::Run;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{lane::Lane, shared_run::SharedRun};

/// The runs of one worker that are on the lane. Each comes back, however its step ended and whether or not anybody still
/// waits for it.
pub(crate) struct Away {
    lane: Arc<Lane>,
    runs: RefCell<HashMap<u64, Rc<SharedRun>>>,
    next: Cell<u64>,
    back: UnboundedSender<Return>,
    returns: RefCell<UnboundedReceiver<Return>>,
}

/// A run on its way. When this is dropped, the run goes back to its worker.
pub(crate) struct Errand {
    run: Option<Run>,
    id: u64,
    back: UnboundedSender<Return>,
}

/// A run that comes back; `None`: it was lost in a panic.
struct Return {
    id: u64,
    run: Option<Run>,
}

impl Away {
    pub(crate) fn new(lane: Arc<Lane>) -> Rc<Self> {
        let (back, returns) = unbounded_channel();
        Rc::new(Self {
            lane,
            runs: RefCell::default(),
            next: Cell::default(),
            back,
            returns: RefCell::new(returns),
        })
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// A run leaves; `owner` gets it back.
    pub(crate) fn leave(&self, owner: &Rc<SharedRun>, run: Run) -> Errand {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        self.runs.borrow_mut().insert(id, Rc::clone(owner));
        Errand { run: Some(run), id, back: self.back.clone() }
    }

    /// Gives back what comes, forever.
    pub(crate) async fn work(&self) {
        while let Some(back) = poll_fn(|cx| self.returns.borrow_mut().poll_recv(cx)).await {
            self.came_back(back);
        }
    }

    /// Waits for all that are still away; every call of a filter ends. Must not be called from a task.
    pub(crate) fn finish(&self) {
        while !self.runs.borrow().is_empty() {
            let back = self.returns.borrow_mut().blocking_recv();
            match back {
                Some(back) => self.came_back(back),
                None => return, // never: a sender is ours
            }
        }
    }

    fn came_back(&self, Return { id, run }: Return) {
        let owner = self.runs.borrow_mut().remove(&id);
        if let Some(owner) = owner {
            owner.came_back(run);
        }
    }
}

impl Errand {
    /// The run; `None` after [`Errand::lose`].
    pub(crate) fn run(&mut self) -> Option<&mut Run> {
        self.run.as_mut()
    }

    /// A filter panicked: its run may have lost the exchange that it had lent.
    pub(crate) fn lose(&mut self) {
        self.run = None;
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        // It fails only if the worker has gone, and that waits for all of its runs.
        let _ = self.back.send(Return { id: self.id, run: self.run.take() });
    }
}
