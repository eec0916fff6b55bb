//! What sources found last, for upstreams that are built anew.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

use super::Found;

/// Sources that are remembered: as many as a configuration may have upstreams.
const MOST: usize = 4_096;

/// When something was found, and what.
pub(super) type Good = (Instant, Vec<Found>);

/// What sources found last. A change of an upstream's configuration makes a new one of it; without this it would begin
/// with no endpoint while its name service fails, and a reload must not harm.
pub(super) struct LastGood(Mutex<Option<HashMap<String, Good>>>);

/// Those of this process.
pub(super) static LAST_GOOD: LastGood = LastGood(Mutex::new(None));

impl LastGood {
    /// What this source found last, if that is remembered.
    pub(super) fn get(&self, source: &str) -> Option<Good> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref()?.get(source).cloned()
    }

    /// This source found something now.
    pub(super) fn put(&self, source: &str, found: &[Found]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if known.len() >= MOST && !known.contains_key(source) {
            let oldest = known.iter().min_by_key(|(_, (at, _))| *at).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(source.to_owned(), (Instant::now(), found.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let known = LastGood(Mutex::new(None));
        for number in 0..=MOST {
            known.put(&number.to_string(), &[]);
        }
        assert!(known.get("0").is_none());
        assert!(known.get("1").is_some() && known.get(&MOST.to_string()).is_some());
    }
}
