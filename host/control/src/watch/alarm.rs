//! The system's notice that something happened in a folder. Only this file knows notify.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;

/// Rings when something may have happened in one of its folders. What happened is found out by looking: events differ
/// between systems, get lost when their queue overflows, and do not exist on some network file systems.
pub(super) struct Alarm {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeMap<PathBuf, Identity>,
}

/// A folder that was replaced by another of the same name has to be watched anew.
type Identity = (u64, u64);

impl Alarm {
    /// `bell` needs room for one: further rings say nothing new.
    pub(super) fn new(bell: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_harmless(event.kind)) {
                return;
            }
            let _ = bell.try_send(()); // full: it rings already; closed: nobody listens any more
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the system does not tell of changed files; looking every 2 s");
        }
        Self { watcher: watcher.ok(), folders: BTreeMap::new() }
    }

    /// Watches these folders and no others. A folder that cannot be watched is left to polling.
    pub(super) fn watch(&mut self, folders: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        self.folders.retain(|folder, identity| {
            let keep = folders.contains(folder) && identify(folder) == Some(*identity);
            if !keep {
                let _ = watcher.unwatch(folder); // it may be gone already
            }
            keep
        });
        for folder in folders {
            let Some(identity) = identify(folder) else { continue };
            if self.folders.contains_key(folder) {
                continue;
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder.clone(), identity)),
                Err(error) => tracing::debug!(folder = %folder.display(), %error, "not watched"),
            }
        }
    }
}

/// Reading changes nothing, and we read.
fn is_harmless(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

fn identify(folder: &Path) -> Option<Identity> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::metadata(folder).ok().map(|m| (m.dev(), m.ino()))
}
