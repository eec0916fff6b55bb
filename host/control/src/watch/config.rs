//! Have the files of the configuration changed since the last look?

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_config::Files;
use edgewit_model::ByteSize;

use super::settle::{Look, Settle};
use crate::{Digest, file};

/// What a configuration was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

    /// Takes down what was read: of texts that very content, whatever is there now.
    pub(crate) fn of(files: &Files) -> Self {
        let Files { sources, paths, folders } = files;
        let texts = sources.iter().map(|source| (Path::new(source.name()), source.text()));
        let texts: HashMap<_, _> = texts.collect();
        let others = paths.iter().filter(|path| !texts.contains_key(path.as_path())).cloned();
        let mut seen = read(&others.collect::<Vec<_>>(), folders);
        for path in paths {
            if let Some(text) = texts.get(path.as_path()) {
                seen.insert(path.clone(), Some(Digest::of(text.as_bytes())));
            }
        }
        Self { files: paths.clone(), folders: folders.clone(), seen }
    }

    /// Beside these the files and folders of another configuration, with what is in them now.
    pub(crate) fn with(mut self, other: Option<&Self>) -> Self {
        let Some(other) = other else { return self };
        let new = |path: &&PathBuf| !self.seen.contains_key(*path);
        let files: Vec<_> = other.files.iter().filter(new).cloned().collect();
        let folders: Vec<_> = other.folders.iter().filter(new).cloned().collect();
        self.seen.extend(read(&files, &folders));
        self.files.extend(files);
        self.folders.extend(folders);
        self
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

    #[test]
    fn what_was_read_counts_and_not_what_was_there_a_moment_later() {
        let folder = tempfile::tempdir().unwrap();
        let (main, more) = (folder.path().join("edgewit.toml"), folder.path().join("more.toml"));
        let text = "include = ['more.toml']";
        std::fs::write(&main, text).unwrap();
        for (included, is_good) in [("[server]", true), ("[server", false)] {
            std::fs::write(&more, included).unwrap();
            let files = match edgewit_config::load(&main) {
                Ok(loaded) => loaded.origin.files,
                Err(report) => report.files().clone(),
            };
            assert_eq!(files.paths, [main.clone(), more.clone()], "{is_good}");
            for path in [&main, &more] {
                let before = std::fs::read(path).unwrap();
                std::fs::write(path, "# another one").unwrap();
                let read = Arc::new(ConfigFiles::of(&files));
                let (mut config, now) = (ConfigLook::default(), Instant::now());
                let look = |config: &mut ConfigLook, now| config.look(&read, now);
                assert_eq!(look(&mut config, now), Look::Moving);
                assert_eq!(look(&mut config, now + REST), Look::Changed);
                std::fs::write(path, before).unwrap();
                assert_eq!(look(&mut ConfigLook::default(), now), Look::Unchanged);
            }
        }
    }
}
