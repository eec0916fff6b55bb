//! Have the files of the configuration changed since the last look?

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_model::ByteSize;

use super::settle::{Look, Settle};
use crate::{Digest, file};

/// What a configuration was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFiles {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// What was there when it was read.
    seen: Reading,
}

/// Knows the files of the configuration as they were at the last look.
#[derive(Debug, Default)]
pub(super) struct ConfigLook {
    known: Option<(Arc<ConfigFiles>, Settle<Reading>)>,
}

/// The content of files and the names in folders; `None` where nothing can be read.
type Reading = BTreeMap<PathBuf, Option<Digest>>;

/// An editor writes several files, or one in several steps.
const REST: Duration = Duration::from_millis(50);
/// Bytes of a file that are looked at; a larger one counts as unreadable.
const LARGEST: ByteSize = ByteSize(16 << 20);

impl ConfigLook {
    /// Compares with the last look, or with what was there when the configuration was read, if that was since.
    pub(super) fn look(&mut self, files: &Arc<ConfigFiles>, now: Instant) -> Look {
        let fresh = || (Arc::clone(files), Settle::new(Some(files.seen.clone())));
        let known = self.known.get_or_insert_with(fresh);
        if !Arc::ptr_eq(&known.0, files) {
            *known = fresh();
        }
        known.1.look(read(&files.files, &files.folders), now, REST)
    }
}

fn read(files: &[PathBuf], folders: &[PathBuf]) -> Reading {
    // Certificates are among them; whoever reads them has smaller bounds. What has become a pipe must not hold up the look.
    let content = |path: &PathBuf| file::read(path, LARGEST).ok().map(|b| Digest::of(&b));
    let contents = files.iter().map(|path| (path.clone(), content(path)));
    contents.chain(folders.iter().map(|path| (path.clone(), names(path)))).collect()
}

fn names(folder: &Path) -> Option<Digest> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut names: Vec<_> = entries.filter_map(|e| Some(e.ok()?.file_name())).collect();
    names.sort();
    let all: Vec<&[u8]> = names.iter().map(|name| name.as_encoded_bytes()).collect();
    Some(Digest::of(&all.join(&0)))
}

impl ConfigFiles {
    /// Takes down what is in these files, and in folders where further ones may appear.
    pub(crate) fn new(files: Vec<PathBuf>, folders: Vec<PathBuf>) -> Self {
        let seen = read(&files, &folders);
        Self { files, folders, seen }
    }

    /// The same files and folders, with what is in them now.
    pub(crate) fn as_now(&self) -> Self {
        Self::new(self.files.clone(), self.folders.clone())
    }

    /// Folders in which something can happen.
    pub(crate) fn parents(&self) -> Vec<PathBuf> {
        let of_files = self.files.iter().filter_map(|file| file.parent());
        of_files.chain(self.folders.iter().map(PathBuf::as_path)).map(Path::to_path_buf).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_and_a_new_one_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("edgewit.toml");
        std::fs::write(&main, "version = 1").unwrap();
        let new = || ConfigFiles::new(vec![main.clone()], vec![folder.path().to_owned()]);
        let (files, mut config, mut now) = (Arc::new(new()), ConfigLook::default(), Instant::now());
        let mut looks = |files: &Arc<_>| {
            now += REST;
            config.look(files, now)
        };
        let mut three = |files: &Arc<_>| [looks(files), looks(files), looks(files)];
        // A change before the first look counts, too.
        std::fs::write(&main, "version = 2").unwrap();
        assert_eq!(three(&files), [Look::Moving, Look::Changed, Look::Unchanged]);
        std::fs::write(folder.path().join("more.toml"), "").unwrap();
        assert_eq!(three(&files), [Look::Moving, Look::Changed, Look::Unchanged]);
        // What was told last was not what was read then, which was what had been read before, and it is there again.
        let (more, before) = (folder.path().join("more.toml"), files);
        std::fs::remove_file(&more).unwrap();
        std::fs::write(&main, "version = 1").unwrap();
        let files = Arc::new(new());
        assert_eq!(files, before);
        std::fs::write(&main, "version = 2").unwrap();
        std::fs::write(&more, "").unwrap();
        assert_eq!(three(&files), [Look::Moving, Look::Changed, Look::Unchanged]);
    }
}
