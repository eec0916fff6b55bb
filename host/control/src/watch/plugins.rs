//! Which plugin files have changed since the last look?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_model::PluginName;

use super::{
    change::{FileChange, Missed},
    settle::{Look, Settle},
};
use crate::{
    Digest,
    file::{Component, FileError, Stamp},
    folder::{Listing, Wanted, Wish},
};

/// Knows the plugin files as they were at the last look.
#[derive(Debug, Default)]
pub(super) struct PluginFiles {
    wanted: Option<Arc<Wanted>>,
    known: BTreeMap<PluginName, Known>,
    misnamed: BTreeSet<PathBuf>,
    shadowed: BTreeMap<PluginName, PathBuf>,
    overflow: bool,
}

/// What one look has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) changes: Vec<FileChange>,
    /// Something is on the move: look again soon.
    pub(super) moving: bool,
}

#[derive(Debug)]
struct Known {
    path: PathBuf,
    settle: Settle<Reading>,
    /// Of the change that was told last.
    missed: Missed,
}

/// What a file was at a time.
#[derive(Debug, PartialEq)]
struct Reading {
    stamp: Option<Stamp>,
    content: Result<Digest, FileError>,
}

/// How long a file has to stay as it is.
const REST: Duration = Duration::from_millis(50);
/// How long a file that ends in the middle is waited for before it is called broken, so that the line about it comes within a
/// second. One that goes on later is looked at again.
const PATIENCE: Duration = Duration::from_millis(700);

impl PluginFiles {
    /// If everything was loaded anew, files are compared with that from now on, and not with what they were at the last look:
    /// a file that is again what it was then may be another one than what was loaded meanwhile.
    fn renew(&mut self, wanted: &Arc<Wanted>) {
        if self.wanted.as_ref().is_some_and(|before| Arc::ptr_eq(before, wanted)) {
            return;
        }
        self.wanted = Some(Arc::clone(wanted));
        for (name, known) in &mut self.known {
            let content = wanted.content(name, &known.path).unwrap_or(Err(FileError::Missing));
            known.settle = Settle::new(Some(Reading { stamp: None, content }));
        }
    }

    /// Looks at every file that is wanted or was known. Reads only those whose stamp is new.
    pub(super) fn look(&mut self, wanted: &Arc<Wanted>, now: Instant) -> Found {
        self.renew(wanted);
        let mut listing = wanted.list();
        let mut wishes = std::mem::take(&mut listing.plugins);
        self.complain(listing);
        let known = self.known.iter().map(|(name, known)| (name, &known.path));
        let read = wanted.read.iter().map(|(name, (path, _))| (name, path));
        for (name, path) in known.chain(read) {
            let wish = || Wish { path: path.clone(), limit: wanted.file_size };
            wishes.entry(name.clone()).or_insert_with(wish);
        }
        let mut found = Found::default();
        for (name, wish) in wishes {
            self.look_at(&name, &wish, wanted.content(&name, &wish.path), now, &mut found);
            let gone = self.known.get_mut(&name).is_some_and(Known::is_told_gone);
            if gone && !wanted.is_kept(&name) {
                self.known.remove(&name);
            }
        }
        found
    }

    fn look_at(
        &mut self,
        name: &PluginName,
        wish: &Wish,
        read: Option<Result<Digest, FileError>>,
        now: Instant,
        found: &mut Found,
    ) {
        let new = || Known::new(wish, read.clone());
        let known = self.known.entry(name.clone()).or_insert_with(new);
        if known.path != wish.path {
            *known = new();
        }
        if known.missed.was_said() {
            known.settle.forget();
        }
        let stamp = Stamp::of(&wish.path).ok();
        let settled = known.settle.settled();
        if !known.settle.is_moving() && stamp.is_some() && settled.is_some_and(|s| s.stamp == stamp)
        {
            return;
        }
        let before = settled.map(|s| s.content.clone());
        let (stamp, component) = Component::read_stamped(&wish.path, wish.limit);
        let content = component.map(|component| component.digest);
        let rest = match content {
            Err(FileError::Incomplete { .. }) => PATIENCE,
            _ => REST,
        };
        match known.settle.look(Reading { stamp, content: content.clone() }, now, rest) {
            Look::Unchanged => {}
            Look::Moving => found.moving = true,
            Look::Changed if before.as_ref() == Some(&content) => {} // touched, or moved away and back
            Look::Changed => {
                let (Wish { path, limit }, name) = (wish.clone(), name.clone());
                let missed = Missed::default();
                known.missed = missed.clone();
                found.changes.push(FileChange { name, path, limit, found: content, missed });
            }
        }
    }

    /// Once for each file, not at each look.
    fn complain(&mut self, listing: Listing) {
        let Listing { misnamed, shadowed, overflow, .. } = listing;
        for path in misnamed.difference(&self.misnamed) {
            let allowed = edgewit_model::NameError;
            tracing::warn!(path = %path.display(), "the file's stem is no plugin name: {allowed}");
        }
        for (plugin, path) in shadowed.iter().filter(|(name, _)| !self.shadowed.contains_key(*name))
        {
            tracing::warn!(
                %plugin, path = %path.display(),
                "not looked at: the configuration names another file for this plugin"
            );
        }
        if overflow && !self.overflow {
            tracing::warn!("the plugin folder holds too many files; some are not looked at");
        }
        self.misnamed = misnamed;
        self.shadowed = shadowed;
        self.overflow = overflow;
    }
}

impl Known {
    /// A file that was not looked at before is taken to be what was read from it when everything was loaded.
    fn new(wish: &Wish, read: Option<Result<Digest, FileError>>) -> Self {
        let content = read.unwrap_or(Err(FileError::Missing));
        let settle = Settle::new(Some(Reading { stamp: None, content }));
        Self { path: wish.path.clone(), settle, missed: Missed::default() }
    }

    /// Is there no file, and has that been taken in?
    fn is_told_gone(&mut self) -> bool {
        !self.settle.is_moving()
            && self.settle.settled().is_some_and(Reading::is_missing)
            && self.missed.is_done()
    }
}

impl Reading {
    fn is_missing(&self) -> bool {
        self.content == Err(FileError::Missing)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use edgewit_model::ByteSize;

    use super::*;

    /// A component that holds nothing but a remark.
    fn component(remark: u8) -> Vec<u8> {
        [b"\0asm\x0d\0\x01\0".as_slice(), &[0, 3, 1, b'a', remark]].concat()
    }

    struct Looks {
        folder: tempfile::TempDir,
        files: PluginFiles,
        wanted: Arc<Wanted>,
        now: Instant,
        /// Of the last change.
        missed: Missed,
    }

    impl Looks {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let wanted = Wanted {
                folder: folder.path().to_owned(),
                declared: BTreeMap::new(),
                file_size: ByteSize(1 << 10),
                read: BTreeMap::new(),
            };
            let (wanted, missed) = (Arc::new(wanted), Missed::default());
            Self { folder, files: PluginFiles::default(), wanted, now: Instant::now(), missed }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Everything was loaded anew: this content from `<name>.wasm`.
        fn load(&mut self, name: &str, content: Result<Digest, FileError>) {
            let path = self.at(&format!("{name}.wasm"));
            let name = PluginName::new(name).unwrap();
            let mut wanted = Wanted::clone(&self.wanted);
            wanted.read.insert(name, (path, content));
            self.wanted = Arc::new(wanted);
        }

        /// Looks twice, so far apart that whatever does not move counts.
        fn changes(&mut self) -> Vec<(String, Result<Digest, FileError>)> {
            let wanted = Arc::clone(&self.wanted);
            let mut changes = self.files.look(&wanted, self.now).changes;
            self.now += PATIENCE;
            changes.extend(self.files.look(&wanted, self.now).changes);
            self.missed = changes.last().map_or(self.missed.clone(), |last| last.missed.clone());
            changes.into_iter().map(|c| (c.name.to_string(), c.found)).collect()
        }
    }

    fn replace(path: &Path, bytes: &[u8]) {
        let aside = path.with_extension("tmp");
        fs::write(&aside, bytes).unwrap();
        fs::rename(aside, path).unwrap();
    }

    #[test]
    fn a_file_is_seen_once_when_it_comes_changes_and_goes() {
        let mut looks = Looks::new();
        let path = looks.at("a.wasm");
        assert_eq!(looks.changes(), []);
        for remark in [1, 2] {
            let bytes = component(remark);
            replace(&path, &bytes);
            assert_eq!(looks.changes(), [("a".to_owned(), Ok(Digest::of(&bytes)))]);
            assert_eq!(looks.changes(), []);
        }
        replace(&path, &component(2)); // the same content in a new file
        assert_eq!(looks.changes(), []);
        fs::remove_file(&path).unwrap();
        assert_eq!(looks.changes(), [("a".to_owned(), Err(FileError::Missing))]);
        assert_eq!(looks.changes(), []);
    }

    #[test]
    fn the_first_look_is_compared_with_what_was_loaded() {
        let mut looks = Looks::new();
        for name in ["same", "other", "gone"] {
            looks.load(name, Ok(Digest::of(&component(1))));
        }
        fs::write(looks.at("same.wasm"), component(1)).unwrap();
        fs::write(looks.at("other.wasm"), component(2)).unwrap();
        let expected = [
            ("gone".to_owned(), Err(FileError::Missing)),
            ("other".to_owned(), Ok(Digest::of(&component(2)))),
        ];
        assert_eq!(looks.changes(), expected);
        assert_eq!(looks.changes(), []);
    }

    #[test]
    fn after_a_reload_files_are_compared_with_what_it_has_loaded() {
        let mut looks = Looks::new();
        let path = looks.at("a.wasm");
        replace(&path, &component(1));
        assert_eq!(looks.changes().len(), 1);
        // The reload has seen another content than the looks before it and after it.
        looks.load("a", Ok(Digest::of(&component(2))));
        assert_eq!(looks.changes(), [("a".to_owned(), Ok(Digest::of(&component(1))))]);
        assert_eq!(looks.changes(), []);
        replace(&path, &component(2));
        looks.load("a", Ok(Digest::of(&component(2))));
        assert_eq!(looks.changes(), [], "it is what was loaded");
    }

    #[test]
    fn a_reload_that_refused_a_file_is_compared_with_too() {
        let mut looks = Looks::new();
        let path = looks.at("a.wasm");
        replace(&path, &component(1));
        assert_eq!(looks.changes().len(), 1);
        looks.load("a", Err(FileError::NotWasm));
        assert_eq!(looks.changes(), [("a".to_owned(), Ok(Digest::of(&component(1))))]);
        fs::write(&path, "not wasm").unwrap();
        looks.load("a", Err(FileError::NotWasm));
        assert_eq!(looks.changes(), [], "it is what was refused");
        fs::remove_file(&path).unwrap();
        assert_eq!(looks.changes(), [("a".to_owned(), Err(FileError::Missing))]);
    }

    #[test]
    fn a_change_that_was_missed_is_told_again() {
        let mut looks = Looks::new();
        let path = looks.at("a.wasm");
        let told = ("a".to_owned(), Ok(Digest::of(&component(1))));
        replace(&path, &component(1));
        assert_eq!(looks.changes(), std::slice::from_ref(&told));
        let first = looks.missed.clone();
        first.say();
        assert_eq!(looks.changes(), [told]);
        assert_eq!(looks.changes(), []);
        first.say(); // of a change that another one has followed
        assert_eq!(looks.changes(), []);
        fs::remove_file(&path).unwrap();
        let gone = ("a".to_owned(), Err(FileError::Missing));
        assert_eq!(looks.changes(), std::slice::from_ref(&gone));
        looks.missed.say();
        assert_eq!(looks.changes(), [gone]);
        looks.missed = Missed::default(); // it was taken in
        assert_eq!(looks.changes(), []);
        assert!(looks.files.known.is_empty());
    }

    #[test]
    fn a_half_written_file_counts_when_it_is_complete() {
        let mut looks = Looks::new();
        let path = looks.at("a.wasm");
        let bytes = component(1);
        fs::write(&path, &bytes[..11]).unwrap();
        let incomplete = FileError::Incomplete { size: 11 };
        assert_eq!(looks.changes(), [("a".to_owned(), Err(incomplete))]);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(looks.changes(), [("a".to_owned(), Ok(Digest::of(&bytes)))]);
    }

    #[test]
    fn a_swapped_symlink_is_a_change() {
        let mut looks = Looks::new();
        for (version, remark) in [("..v1", 1), ("..v2", 2)] {
            fs::create_dir(looks.at(version)).unwrap();
            fs::write(looks.at(version).join("a.wasm"), component(remark)).unwrap();
        }
        symlink("..v1", looks.at("..data")).unwrap();
        symlink("..data/a.wasm", looks.at("a.wasm")).unwrap();
        assert_eq!(looks.changes(), [("a".to_owned(), Ok(Digest::of(&component(1))))]);
        symlink("..v2", looks.at("..data_tmp")).unwrap();
        fs::rename(looks.at("..data_tmp"), looks.at("..data")).unwrap();
        assert_eq!(looks.changes(), [("a".to_owned(), Ok(Digest::of(&component(2))))]);
    }

    #[test]
    fn one_bad_entry_does_not_hide_the_others() {
        let mut looks = Looks::new();
        fs::create_dir(looks.at("folder.wasm")).unwrap();
        symlink("nowhere", looks.at("dangling.wasm")).unwrap();
        fs::write(looks.at("text.wasm"), "not wasm").unwrap();
        fs::write(looks.at("good.wasm"), component(1)).unwrap();
        let expected = [
            ("dangling".to_owned(), Err(FileError::Dangling)),
            ("folder".to_owned(), Err(FileError::NotAFile("folder"))),
            ("good".to_owned(), Ok(Digest::of(&component(1)))),
            ("text".to_owned(), Err(FileError::NotWasm)),
        ];
        assert_eq!(looks.changes(), expected);
        assert_eq!(looks.changes(), []);
    }
}
