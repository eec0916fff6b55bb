//! The files: the main one and those that it includes, within bounds.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use edgewit_model::PluginName;
use toml::de::DeTable;

use crate::{Diagnostic, Place, Report, code, code::Code, source::Source};

/// One file. Forty thousand routes fit; reading it takes up to 80 times its size in memory.
const LARGEST: usize = 4 << 20;
/// All files of one configuration.
const LARGEST_SUM: usize = 16 << 20;
/// Files that are included.
const MOST_FILES: usize = 1_000;

/// What a load has read or, where it could not, has tried to.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The texts that were read, the main file first. Each has its path as its name.
    pub sources: Vec<Arc<Source>>,
    /// The main file, included ones, those in `${file:...}`, certificates and keys.
    pub paths: Vec<PathBuf>,
    /// Folders in which further files to include may appear.
    pub folders: Vec<PathBuf>,
}

/// Reads the main file.
pub(crate) fn main_file(path: &Path) -> Result<Arc<Source>, Diagnostic> {
    let name = path.display().to_string();
    read(path, LARGEST)
        .map(|text| Source::new(0, name.clone(), text))
        .map_err(|e| e.about(code::UNREADABLE, &name))
}

/// Takes a text that is there already.
pub(crate) fn main_text(name: &str, text: &str) -> Result<Arc<Source>, Diagnostic> {
    if text.len() > LARGEST {
        return Err(Unreadable::TooLarge.about(code::UNREADABLE, name));
    }
    Ok(Source::new(0, name.to_owned(), text.to_owned()))
}

/// Reads what the main file includes. What is wrong with the main file itself is reported later, by other stages.
pub(crate) fn with_includes(
    main: Arc<Source>,
    path: Option<&Path>,
    base: &Path,
    report: &mut Report,
) -> Files {
    let paths = path.map(Path::to_path_buf).into_iter().collect();
    let files = Files { sources: vec![Arc::clone(&main)], paths, folders: Vec::new() };
    let mut seen = BTreeSet::new();
    seen.extend(path.and_then(|p| p.canonicalize().ok()));
    let mut loader = Loader { base, files, seen, report };
    for (pattern, span) in patterns(main.text()) {
        loader.include(&pattern, &Place::new(&main, span));
    }
    loader.files
}

fn patterns(text: &str) -> Vec<(String, Range<usize>)> {
    // A key can be spelled in other ways only with escapes. Reading ten thousand routes twice would be felt.
    if !text.contains("include") && !text.contains('\\') {
        return Vec::new();
    }
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let include = table.get_ref().get("include").and_then(|v| v.get_ref().as_array());
    let items = include.into_iter().flat_map(|list| list.iter());
    items.filter_map(|v| v.get_ref().as_str().map(|s| (s.to_owned(), v.span()))).collect()
}

struct Loader<'a> {
    base: &'a Path,
    files: Files,
    seen: BTreeSet<PathBuf>,
    report: &'a mut Report,
}

impl Loader<'_> {
    fn include(&mut self, pattern: &str, place: &Place) {
        let (folder, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        if folder.contains('*') || last.is_empty() {
            let message = "only the last part of a path may have `*` in it";
            self.report.push(Diagnostic::new(code::INCLUDE, message).at(place.clone(), ""));
            return;
        }
        let folder = if pattern.starts_with('/') && folder.is_empty() { "/" } else { folder };
        let folder = self.base.join(folder);
        if !last.contains('*') {
            self.file(&folder.join(last), place);
            return;
        }
        self.files.folders.push(folder.clone());
        let found = matching(&folder, last);
        if found.is_empty() {
            let message = format!("no file fits `{pattern}`");
            self.report.push(Diagnostic::new(code::EMPTY_INCLUDE, message).at(place.clone(), ""));
        }
        for path in found {
            self.file(&path, place);
        }
    }

    fn file(&mut self, path: &Path, place: &Place) {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if !self.seen.insert(real) {
            return;
        }
        let used: usize = self.files.sources.iter().map(|s| s.text().len()).sum();
        let name = path.display().to_string();
        if self.files.sources.len() > MOST_FILES {
            let message = format!("more than {MOST_FILES} files are included");
            self.report.push(Diagnostic::new(code::TOO_MANY, message).at(place.clone(), ""));
            return;
        }
        self.files.paths.push(path.to_path_buf());
        match read(path, LARGEST_SUM.saturating_sub(used).min(LARGEST)) {
            Ok(text) => {
                let source = Source::new(self.files.sources.len(), name, text);
                self.files.sources.push(source);
            }
            Err(error) => {
                let diagnostic = error.about(code::UNREADABLE, &name);
                self.report.push(diagnostic.at(place.clone(), "included here"));
            }
        }
    }
}

/// Files of a folder that fit, sorted by name. As in a shell, `*` does not fit a dot at the beginning.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let fits =
        |name: &String| (pattern.starts_with('.') || !name.starts_with('.')) && fits(pattern, name);
    let mut found: Vec<PathBuf> = names.filter(fits).map(|name| folder.join(name)).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found
}

/// Does a name fit a pattern in which `*` stands for anything?
fn fits(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let Some((middle, tail)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
    for part in middle.split('*') {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(tail)
}

/// Why there is no text.
pub(crate) enum Unreadable {
    TooLarge,
    NotUtf8(usize),
    Io(std::io::Error),
}

impl Unreadable {
    pub(crate) fn about(self, code: Code, name: &str) -> Diagnostic {
        let (message, note) = match self {
            Self::TooLarge => (format!("`{name}` is too large"), None),
            Self::NotUtf8(at) => {
                (format!("`{name}` is not UTF-8"), Some(format!("the first bad byte is at {at}")))
            }
            Self::Io(e) => (format!("cannot read `{name}`"), Some(lower(&e))),
        };
        let diagnostic = Diagnostic::new(code, message);
        note.into_iter().fold(diagnostic, Diagnostic::note)
    }
}

fn lower(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads at most `limit` bytes of text.
pub(crate) fn read(path: &Path, limit: usize) -> Result<String, Unreadable> {
    let file = File::open(path).map_err(Unreadable::Io)?;
    let mut bytes = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
    if bytes.len() > limit {
        return Err(Unreadable::TooLarge);
    }
    String::from_utf8(bytes).map_err(|e| Unreadable::NotUtf8(e.utf8_error().valid_up_to()))
}

/// The stems of all files `<stem>.wasm` in a folder that can be names of plugins.
pub(crate) fn plugins_in(folder: &Path) -> BTreeSet<String> {
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let stems = matching(folder, "*.wasm").into_iter().filter_map(stem);
    stems.filter(|stem| PluginName::new(stem).is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        let cases = [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", true),
            ("*.toml", "a.tom", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("**", "x", true),
            ("x", "x", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
