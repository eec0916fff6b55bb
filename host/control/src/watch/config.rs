//! Have the files of the configuration changed since the last look?

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::settle::{Look, Settle};
use crate::Digest;

/// What a configuration was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigFiles {
    /// Files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// Folders in which further files may appear.
    pub(crate) folders: Vec<PathBuf>,
}

/// Knows the files of the configuration as they were at the last look.
#[derive(Debug, Default)]
pub(super) struct ConfigLook {
    of: ConfigFiles,
    settle: Option<Settle<Reading>>,
}

/// The content of files and the names in folders; `None` where nothing can be read.
type Reading = BTreeMap<PathBuf, Option<Digest>>;

/// An editor writes several files, or one in several steps.
const REST: Duration = Duration::from_millis(50);

impl ConfigLook {
    /// The first look at a set of files only remembers it.
    pub(super) fn look(&mut self, files: &ConfigFiles, now: Instant) -> Look {
        let seen = read(files);
        match &mut self.settle {
            Some(settle) if self.of == *files => settle.look(seen, now, REST),
            _ => {
                self.of = files.clone();
                self.settle = Some(Settle::new(Some(seen)));
                Look::Unchanged
            }
        }
    }
}

fn read(files: &ConfigFiles) -> Reading {
    let content = |path: &PathBuf| std::fs::read(path).ok().map(|bytes| Digest::of(&bytes));
    let contents = files.files.iter().map(|path| (path.clone(), content(path)));
    contents.chain(files.folders.iter().map(|path| (path.clone(), names(path)))).collect()
}

fn names(folder: &Path) -> Option<Digest> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut names: Vec<_> = entries.filter_map(|e| Some(e.ok()?.file_name())).collect();
    names.sort();
    let all: Vec<&[u8]> = names.iter().map(|name| name.as_encoded_bytes()).collect();
    Some(Digest::of(&all.join(&0)))
}

impl ConfigFiles {
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
        let files =
            ConfigFiles { files: vec![main.clone()], folders: vec![folder.path().to_owned()] };
        let mut config = ConfigLook::default();
        let mut now = Instant::now();
        let mut looks = || {
            now += REST;
            config.look(&files, now)
        };
        assert_eq!(looks(), Look::Unchanged);
        std::fs::write(&main, "version = 2").unwrap();
        assert_eq!([looks(), looks(), looks()], [Look::Moving, Look::Changed, Look::Unchanged]);
        std::fs::write(folder.path().join("more.toml"), "").unwrap();
        assert_eq!([looks(), looks(), looks()], [Look::Moving, Look::Changed, Look::Unchanged]);
    }
}
