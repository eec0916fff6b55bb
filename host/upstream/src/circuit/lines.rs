//! How many connections an upstream has, over all workers.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    select,
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{Circuit, Full, take_one};

/// The connections of one worker to an upstream whose connections are bounded.
///
/// Pools belong to workers, so a bound over all of them could leave a worker without any connection. Each may always have
/// one: at most so many as there are workers lie beyond the bound.
pub(crate) struct Lines {
    circuit: Arc<Circuit>,
    open: Cell<usize>,
    /// A connection of this worker can take a request again, or was closed.
    back: Notify,
}

/// Leave to have one connection open. The socket holds it, so that it ends with that, whoever had it in the end.
pub(crate) struct Place(Rc<Lines>);

impl Lines {
    pub(crate) fn new(circuit: &Arc<Circuit>) -> Rc<Self> {
        Rc::new(Self { circuit: Arc::clone(circuit), open: Cell::new(0), back: Notify::new() })
    }

    pub(crate) fn is_of(&self, circuit: &Arc<Circuit>) -> bool {
        Arc::ptr_eq(&self.circuit, circuit)
    }

    /// Leave to open one more, if this worker has none or all together have too few.
    pub(crate) fn try_open(self: &Rc<Self>) -> Option<Place> {
        let limit = self.circuit.rules.max_connections.filter(|_| self.open.get() > 0);
        take_one(&self.circuit.connections, limit.unwrap_or(u32::MAX))?;
        self.open.set(self.open.get() + 1);
        Some(Place(Rc::clone(self)))
    }

    /// Waits until `look` finds something, for as long as one may wait for an upstream that has enough to do, and only if
    /// not too many wait already.
    pub(crate) async fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> Result<T, Full> {
        let Some(_waits) = Waits::begin(&self.circuit) else { return Err(self.circuit.refuse()) };
        let until = Instant::now() + self.circuit.rules.max_wait;
        loop {
            if timeout_at(until, self.changed()).await.is_err() {
                return Err(self.circuit.refuse());
            }
            if let Some(found) = look() {
                self.came_back(); // calls that nobody hears are kept as one, so who found something calls the next
                self.circuit.line_closed.notify_one();
                return Ok(found);
            }
        }
    }

    /// A connection can take a request again: somebody who waits should look.
    pub(crate) fn came_back(&self) {
        self.back.notify_one();
    }

    async fn changed(&self) {
        select! {
            () = self.back.notified() => {}
            () = self.circuit.line_closed.notified() => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let lines = &self.0;
        lines.open.set(lines.open.get().saturating_sub(1));
        lines.circuit.connections.fetch_sub(1, Ordering::SeqCst);
        lines.came_back(); // a worker that has none left may open one, whatever the others have
        lines.circuit.line_closed.notify_one();
    }
}

/// A request that waits for a connection.
struct Waits<'a>(&'a Circuit);

impl<'a> Waits<'a> {
    fn begin(circuit: &'a Circuit) -> Option<Self> {
        take_one(&circuit.waiting_for_lines, circuit.rules.max_pending)?;
        Some(Self(circuit))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting_for_lines.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use edgewit_model as model;

    use super::*;

    fn circuit(max_connections: u32, max_pending: u32) -> Arc<Circuit> {
        let rules = model::Circuit {
            max_connections: Some(max_connections),
            max_pending,
            ..model::Circuit::default()
        };
        Circuit::new(&rules, None)
    }

    #[test]
    fn each_worker_may_have_one_and_all_together_the_bound() {
        let circuit = circuit(2, 1);
        let (one, other, third) =
            (Lines::new(&circuit), Lines::new(&circuit), Lines::new(&circuit));
        let mine = [one.try_open().unwrap(), one.try_open().unwrap()];
        assert!(one.try_open().is_none());
        let theirs = other.try_open().unwrap();
        assert!(other.try_open().is_none());
        let _thirds = third.try_open().unwrap();
        assert_eq!(circuit.connections(), 4);
        drop(mine);
        assert_eq!(circuit.connections(), 2);
        assert!(other.try_open().is_none());
        drop(theirs);
        assert!(other.try_open().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_called_when_any_worker_closes_one() {
        let circuit = circuit(2, 1);
        let (one, other) = (Lines::new(&circuit), Lines::new(&circuit));
        let mine = [one.try_open().unwrap(), one.try_open().unwrap()];
        let _theirs = other.try_open().unwrap();
        let began = Instant::now();
        let close = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(mine);
        };
        let (got, refused, ()) =
            tokio::join!(other.wait(|| other.try_open()), other.wait(|| other.try_open()), close);
        assert!(got.is_ok());
        assert!(refused.is_err(), "the waiting room is full");
        assert_eq!(began.elapsed(), Duration::from_millis(20));
        assert_eq!((circuit.connections(), circuit.refused()), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_is_bearable() {
        let circuit = circuit(1, 9);
        let lines = Lines::new(&circuit);
        let _only = lines.try_open().unwrap();
        let began = Instant::now();
        assert!(lines.wait(|| lines.try_open()).await.is_err());
        assert_eq!(began.elapsed(), model::Circuit::default().max_wait);
        assert!(circuit.is_open());
    }
}
