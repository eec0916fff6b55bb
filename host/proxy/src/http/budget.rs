//! What the responses of one connection keep in memory.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Bytes of response bodies that were fetched from upstreams for one HTTP/2 connection and are not on its socket yet.
///
/// A stream asks before it fetches more. It has to wait while the connection holds its share and the client is the one
/// who does not take: then more would only fill memory (THREATS A23). What a stream that was cut had left is counted as
/// gone; where that is not exact, the bound of each stream (`SEND_BUFFER` and a chunk) still holds.
#[derive(Debug)]
pub(crate) struct Budget {
    most: usize,
    held: Cell<usize>,
    /// The same beyond the end of streams, which leave what h2 has still to write.
    unsent: Cell<usize>,
    /// Streams that have something for the client to take.
    offered: Cell<u32>,
    open: Cell<u32>,
    waiting: RefCell<Vec<Waker>>,
}

impl Budget {
    /// `most`: bytes.
    pub(crate) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self {
            most,
            held: Cell::new(0),
            unsent: Cell::new(0),
            offered: Cell::new(0),
            open: Cell::new(0),
            waiting: RefCell::default(),
        })
    }

    /// Ready: more may be fetched.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held.get() < self.most || self.offered.get() == 0 {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn opened(&self) {
        self.open.set(self.open.get() + 1);
    }

    /// A stream ended; so many bytes of it will not be written.
    pub(super) fn closed(&self, lost: usize) {
        self.open.set(self.open.get().saturating_sub(1));
        let held = self.held.get().saturating_sub(lost);
        self.held.set(if self.open.get() == 0 { 0 } else { held });
        self.wake();
    }

    /// A stream has a chunk for the client.
    pub(super) fn offer(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_add(bytes));
        self.unsent.set(self.unsent.get().saturating_add(bytes));
        self.offered.set(self.offered.get() + 1);
    }

    /// The client makes room for the chunk.
    pub(super) fn taken(&self) {
        self.offered.set(self.offered.get().saturating_sub(1));
        if self.offered.get() == 0 {
            self.wake();
        }
    }

    /// So many bytes of a stream that was cut will not be written.
    pub(super) fn lost(&self, bytes: usize) {
        self.unsent.set(self.unsent.get().saturating_sub(bytes));
    }

    /// Bytes that are with h2, for all that is known.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.get()
    }

    /// So many bytes went to the socket.
    pub(crate) fn written(&self, bytes: usize) {
        if bytes > 0 {
            self.unsent.set(self.unsent.get().saturating_sub(bytes));
            self.held.set(self.held.get().saturating_sub(bytes));
            if self.held.get() < self.most {
                self.wake();
            }
        }
    }

    fn wake(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_room(budget: &Budget) -> bool {
        budget.poll_room(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn what_a_client_does_not_take_stops_the_others() {
        let budget = Budget::new(100);
        budget.opened();
        budget.opened();
        budget.offer(100);
        assert!(!has_room(&budget));
        budget.written(1);
        assert!(has_room(&budget));
        budget.offer(50);
        assert!(!has_room(&budget));
        budget.taken();
        budget.taken();
        assert!(has_room(&budget), "nothing waits for the client");
        budget.offer(1);
        assert!(!has_room(&budget));
        budget.taken();
        budget.closed(120);
        assert!(has_room(&budget));
    }

    #[test]
    fn an_error_in_the_count_does_not_last() {
        let budget = Budget::new(100);
        budget.opened();
        budget.offer(1_000);
        budget.taken();
        budget.closed(0);
        budget.opened();
        budget.offer(10);
        assert!(has_room(&budget));
    }
}
