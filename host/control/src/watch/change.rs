//! What is told of a plugin's file, and what comes back if it could not be taken in.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use edgewit_model::{ByteSize, PluginName};

use crate::{Digest, file::FileError};

/// A plugin's file has come, changed or gone.
#[derive(Debug)]
pub(crate) struct FileChange {
    pub(crate) name: PluginName,
    pub(crate) path: PathBuf,
    /// Bytes that it may have.
    pub(crate) limit: ByteSize,
    /// What was there.
    pub(crate) found: Result<Digest, FileError>,
    /// Was something else there when it was to be taken in?
    pub(crate) missed: Missed,
}

/// Said of a change that was not taken in because the file was another one by then. It may be again what it was since, so
/// that nobody would tell of it a second time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missed(Arc<AtomicBool>);

impl Missed {
    /// Tell of it again, whatever is there.
    pub(crate) fn say(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Can nobody say it any more?
    pub(super) fn is_done(&mut self) -> bool {
        Arc::get_mut(&mut self.0).is_some_and(|said| !*said.get_mut())
    }

    pub(super) fn was_said(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}
