//! Connections that an upstream may not have in any number.

use std::{cell::RefCell, rc::Rc};

use super::{Lease, Pools, Shelves};
use crate::{
    circuit::{Lines, Place},
    connect::ConnectError,
    upstream::Upstream,
};

/// What this worker has open to upstreams whose connections are bounded.
pub(super) type Bounded = RefCell<Vec<Rc<Lines>>>;

/// How a request that found no connection goes on.
pub(super) enum Leave {
    /// It makes one; with the place for it if those are bounded.
    Dial(Option<Place>),
    /// A connection came back while it waited.
    Kept(Lease),
}

impl Pools {
    /// Leave to make a connection, or one that `kept` finds, after a while if the upstream has as many as it may have.
    pub(super) async fn leave(
        &self,
        upstream: &Upstream,
        kept: impl Fn() -> Option<Lease>,
    ) -> Result<Leave, ConnectError> {
        let Some(lines) = self.lines(upstream) else { return Ok(Leave::Dial(None)) };
        let try_dial = || lines.try_open().map(|place| Leave::Dial(Some(place)));
        if let Some(dial) = try_dial() {
            return Ok(dial);
        }
        close_idle(&self.0, &lines);
        let look = || {
            let found = kept().map(Leave::Kept).or_else(try_dial);
            if found.is_none() {
                close_idle(&self.0, &lines);
            }
            found
        };
        lines.wait(look).await.map_err(|_| ConnectError::Limit)
    }

    /// `None`: the upstream may have any number.
    pub(super) fn lines(&self, upstream: &Upstream) -> Option<Rc<Lines>> {
        upstream.circuit().max_connections()?;
        let mut bounded = self.1.borrow_mut();
        let known = bounded.iter().find(|lines| lines.is_of(upstream.circuit()));
        if let Some(known) = known {
            return Some(Rc::clone(known));
        }
        bounded.retain(|lines| Rc::strong_count(lines) > 1); // upstreams that are gone
        let lines = Lines::new(upstream.circuit());
        bounded.push(Rc::clone(&lines));
        Some(lines)
    }
}

/// Closes a connection that nobody uses. Whoever waits cannot use it either, for it leads to another endpoint, perhaps one
/// that is gone.
fn close_idle(shelves: &Shelves, lines: &Rc<Lines>) {
    for shelf in shelves.borrow_mut().values_mut() {
        if let Some(oldest) = shelf.idle.iter().position(|idle| idle.is_within(lines)) {
            return shelf.idle.remove(oldest).close();
        }
        let unused = shelf.shared.iter().position(|shared| shared.is_unused_within(lines));
        if let Some(unused) = unused {
            return shelf.shared.remove(unused).close();
        }
    }
}
