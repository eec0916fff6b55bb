//! Room for the connections of a listener.

use std::sync::{
    Arc,
    atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for the connections of a listener, on all workers together.
#[derive(Debug)]
pub(crate) struct Room {
    permits: Arc<Semaphore>,
    /// Places that have to go, but are taken: whoever leaves takes his place along.
    owed: AtomicUsize,
}

/// Room for one connection, as long as it is held.
#[derive(Debug)]
pub(crate) struct RoomPlace {
    room: Arc<Room>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(places: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(bounded(places)));
        Arc::new(Self { permits, owed: AtomicUsize::new(0) })
    }

    /// Waits for a place.
    pub(super) async fn enter(self: &Arc<Self>) -> RoomPlace {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        RoomPlace { room: Arc::clone(self), permit }
    }

    /// A place beyond the limit.
    pub(super) fn squeeze(self: &Arc<Self>) -> RoomPlace {
        RoomPlace { room: Arc::clone(self), permit: None }
    }

    /// Another number of places. Connections above a lower limit stay; it is reached as they close.
    pub(super) fn resize(&self, before: usize, after: usize) {
        let (before, after) = (bounded(before), bounded(after));
        if let Some(less) = before.checked_sub(after) {
            let forgotten = self.permits.forget_permits(less);
            self.owed.fetch_add(less.saturating_sub(forgotten), AcqRel);
            return;
        }
        for _ in before..after {
            if !self.repay() {
                self.permits.add_permits(1);
            }
        }
    }

    /// One place less is owed, if any is.
    fn repay(&self) -> bool {
        self.owed.fetch_update(AcqRel, Acquire, |owed| owed.checked_sub(1)).is_ok()
    }
}

impl Drop for RoomPlace {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.room.repay()
        {
            permit.forget();
        }
    }
}

fn bounded(places: usize) -> usize {
    places.clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    async fn enter(room: &Arc<Room>) -> Option<RoomPlace> {
        timeout(Duration::from_secs(1), room.enter()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lower_limit_is_reached_as_connections_close() {
        let room = Room::new(3);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(enter(&room).await.unwrap());
        }
        assert!(enter(&room).await.is_none());
        let _beyond = room.squeeze();
        room.resize(3, 1);
        held.truncate(1);
        assert!(enter(&room).await.is_none(), "one is in, and there is room for one");
        room.resize(1, 2);
        held.push(enter(&room).await.unwrap());
        assert!(enter(&room).await.is_none());
        room.resize(2, 1);
        room.resize(1, 3);
        held.push(enter(&room).await.unwrap());
        assert!(enter(&room).await.is_none());
        held.clear();
        for _ in 0..3 {
            held.push(enter(&room).await.unwrap());
        }
        assert!(enter(&room).await.is_none(), "nothing was lost on the way");
    }
}
