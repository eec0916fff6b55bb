//! Which plugins are there? The declared ones, and every `<name>.wasm` in the plugin folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use edgewit_model::{ByteSize, Config, Grants, Namespace, OnError, Plugin, PluginName, Quarantine};

use crate::{Digest, file::FileError, prepare::PreparedPlugins, stock::Refused};

/// Files in the plugin folder that are looked at; each costs a look every two seconds.
const MOST_PLUGINS: usize = 1_000;

/// The plugin files that matter under one configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// Every `<name>.wasm` in it is a plugin.
    pub(crate) folder: PathBuf,
    /// Plugins that the configuration declares or uses.
    pub(crate) declared: BTreeMap<PluginName, Wish>,
    /// Largest file among the others.
    pub(crate) file_size: ByteSize,
    /// What was in the files when everything was loaded, whether it could be used or not.
    pub(crate) read: BTreeMap<PluginName, (PathBuf, Result<Digest, FileError>)>,
}

/// A file that should be a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) path: PathBuf,
    pub(crate) limit: ByteSize,
}

/// What the folder holds at a time.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) plugins: BTreeMap<PluginName, Wish>,
    /// Files that end in `.wasm`, but whose stem is no name.
    pub(crate) misnamed: BTreeSet<PathBuf>,
    /// Files whose stem is the name of a plugin that the configuration finds elsewhere.
    pub(crate) shadowed: BTreeMap<PluginName, PathBuf>,
    /// More than [`MOST_PLUGINS`].
    pub(crate) overflow: bool,
}

impl Wanted {
    pub(crate) fn of(config: &Config, plugins: &PreparedPlugins, refused: &[Refused]) -> Self {
        let wish = |plugin: &Plugin| {
            let wish = Wish { path: plugin.path.clone(), limit: plugin.limits.file_size };
            (plugin.name.clone(), wish)
        };
        let loaded = plugins.iter().map(|(name, plugin)| {
            let content = Ok(plugin.digest);
            (name.clone(), (plugin.path.clone(), content))
        });
        let refused = refused.iter().filter_map(|refused| {
            let content = refused.content()?;
            Some((refused.name.clone(), (refused.path.clone(), content)))
        });
        Self {
            folder: config.server.plugin_dir.clone(),
            declared: config.plugins.values().map(wish).collect(),
            file_size: config.plugin_limits.file_size,
            read: loaded.chain(refused).collect(),
        }
    }

    /// What was in a plugin's file when everything was loaded, if this file was read then.
    pub(crate) fn content(
        &self,
        name: &PluginName,
        path: &Path,
    ) -> Option<Result<Digest, FileError>> {
        let (read, content) = self.read.get(name)?;
        (read == path).then(|| content.clone())
    }

    /// Has it to be watched even while there is no file?
    pub(crate) fn is_kept(&self, name: &PluginName) -> bool {
        self.declared.contains_key(name) || self.read.contains_key(name)
    }

    /// Everything there is now: declared plugins whether their file is there or not, the others as found. Of too many files
    /// the first by name are taken, so that every look finds the same ones.
    pub(crate) fn list(&self) -> Listing {
        let mut listing = Listing::default();
        let mut found = BTreeMap::new();
        // A file that is declared under another name is that plugin, not one more.
        let declared: BTreeSet<_> = self.declared.values().map(|wish| &wish.path).collect();
        for path in wasm_files(&self.folder).filter(|path| !declared.contains(path)) {
            let name = path.file_stem().and_then(|stem| stem.to_str()).map(PluginName::new);
            match name {
                Some(Ok(name)) if self.declared.contains_key(&name) => {
                    listing.shadowed.insert(name, path);
                }
                Some(Ok(name)) => {
                    found.insert(name, path);
                    if found.len() > MOST_PLUGINS.saturating_sub(self.declared.len()) {
                        found.pop_last();
                        listing.overflow = true;
                    }
                }
                _ => {
                    listing.misnamed.insert(path);
                    if listing.misnamed.len() > MOST_PLUGINS {
                        listing.misnamed.pop_last();
                    }
                }
            }
        }
        let wish = |(name, path)| (name, Wish { path, limit: self.file_size });
        listing.plugins = found.into_iter().map(wish).collect();
        listing.plugins.extend(self.declared.clone());
        listing
    }

    /// Folders in which something can happen.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let parents = self.declared.values().filter_map(|wish| wish.path.parent());
        let mut folders: Vec<_> =
            parents.chain([self.folder.as_path()]).map(Path::to_path_buf).collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

fn wasm_files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_wasm(path))
}

/// Editors and copy tools write to names that begin with a dot before they rename.
fn is_wasm(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "wasm")
}

/// A plugin that lies in the folder and that the configuration says nothing about.
pub(crate) fn undeclared(config: &Config, name: &PluginName, path: PathBuf) -> Plugin {
    Plugin {
        name: name.clone(),
        path,
        on_error: OnError::default(),
        isolation: None,
        namespace: Namespace::default(),
        allow: Grants::default(),
        limits: config.plugin_limits.clone(),
        config: serde_json::Map::new(),
        quarantine: Some(Quarantine::default()),
        fallback: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_names_plugins_that_are_not_declared() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "a.wasm",
            "b.wasm",
            "c.wasm",
            "other.wasm",
            "Bad Name.wasm",
            ".hidden.wasm",
            "note.txt",
            "c.wasm.tmp",
        ] {
            std::fs::write(at(name), "").unwrap();
        }
        let name = |text| PluginName::new(text).unwrap();
        let elsewhere = Wish { path: "/else/where.wasm".into(), limit: ByteSize(1) };
        let wanted = Wanted {
            folder: folder.path().to_owned(),
            declared: BTreeMap::from([
                (name("a"), elsewhere.clone()),
                (name("c"), Wish { path: at("other.wasm"), limit: ByteSize(1) }),
            ]),
            file_size: ByteSize(2),
            read: BTreeMap::new(),
        };
        let listing = wanted.list();
        let found = Wish { path: at("b.wasm"), limit: ByteSize(2) };
        let other = Wish { path: at("other.wasm"), limit: ByteSize(1) };
        let expected =
            BTreeMap::from([(name("a"), elsewhere), (name("b"), found), (name("c"), other)]);
        assert_eq!(listing.plugins, expected);
        assert_eq!(listing.misnamed, BTreeSet::from([at("Bad Name.wasm")]));
        let shadowed = BTreeMap::from([(name("a"), at("a.wasm")), (name("c"), at("c.wasm"))]);
        assert_eq!(listing.shadowed, shadowed);
        assert_eq!(wanted.folders(), [Path::new("/else").to_owned(), folder.path().to_owned()]);
    }
    #[test]
    fn of_too_many_files_the_first_by_name_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        for n in (0..MOST_PLUGINS + 10).rev() {
            std::fs::write(folder.path().join(format!("p{n:04}.wasm")), "").unwrap();
        }
        let name = |text| PluginName::new(text).unwrap();
        let elsewhere = Wish { path: "/else/where.wasm".into(), limit: ByteSize(1) };
        let wanted = Wanted {
            folder: folder.path().to_owned(),
            declared: BTreeMap::from([(name("z"), elsewhere)]),
            file_size: ByteSize(2),
            read: BTreeMap::new(),
        };
        let listing = wanted.list();
        assert!(listing.overflow);
        assert_eq!(listing.plugins.len(), MOST_PLUGINS);
        let names: Vec<_> = listing.plugins.keys().map(PluginName::as_str).collect();
        assert_eq!((names[0], names[998], names[999]), ("p0000", "p0998", "z"));
    }
}
