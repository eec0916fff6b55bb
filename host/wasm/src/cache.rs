//! Compiled components, kept between starts.
//!
//! Native code runs outside the sandbox, so an entry is believed only if its MAC fits, under a key that stands in the
//! same folder and that only this user can read. An entry that does not fit is compiled anew.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::{
    child::{split_frame, write_frame},
    compile::{Compiled, Job},
    inspect::hex,
};

/// A folder of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    secret: Vec<u8>,
}

/// What an entry depends on: the component, everything the job says, and this build of the engine.
pub(crate) struct Key(String);

/// Raised when what is stored changes its shape.
const FORMAT: &str = "edgewit-cache-1";
const SECRET_FILE: &str = "key";
const SECRET_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
/// Entries that are kept; the oldest go first.
const MAX_ENTRIES: usize = 256;

impl Key {
    /// What does not depend on the plugin's name is shared: one component under many names is compiled once.
    pub(crate) fn new(component: &[u8], job: &Job) -> Self {
        let mut job = job.clone();
        job.plugin.clear();
        let mut hash = Sha256::new();
        for part in [
            FORMAT.as_bytes(),
            env!("CARGO_PKG_VERSION").as_bytes(),
            std::env::consts::ARCH.as_bytes(),
            &serde_json::to_vec(&job).unwrap_or_default(),
            &Sha256::digest(component),
        ] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hex(&hash.finalize()))
    }
}

impl Cache {
    /// Opens a folder, making it and its key if they are not there.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        if !folder.is_dir() {
            make(folder)?;
        }
        let secret = secret(&folder.join(SECRET_FILE))?;
        Ok(Self { folder: folder.to_owned(), secret })
    }

    /// An entry, if it is there, whole and ours.
    pub(crate) fn get(&self, key: &Key) -> Option<Compiled> {
        let bytes = Bytes::from(fs::read(self.path(key)).ok()?);
        let (mac, body) = bytes.split_at_checked(MAC_BYTES)?;
        if self.mac(key, body).verify_slice(mac).is_err() {
            tracing::warn!(
                entry = key.0,
                "compiled plugin in the cache is not ours: compiling anew"
            );
            return None;
        }
        let (facts, rest) = split_frame(body)?;
        let (artefact, _) = split_frame(rest)?;
        Some(Compiled {
            facts: serde_json::from_slice(facts).ok()?,
            artefact: bytes.slice_ref(artefact),
        })
    }

    /// Keeps an entry. That it could not be kept costs time at the next start and nothing else.
    pub(crate) fn put(&self, key: &Key, compiled: &Compiled) {
        if let Err(error) = self.try_put(key, compiled) {
            tracing::warn!(folder = %self.folder.display(), "could not keep a compiled plugin: {error}");
        }
        self.forget_oldest();
    }

    fn try_put(&self, key: &Key, compiled: &Compiled) -> io::Result<()> {
        let mut body = Vec::with_capacity(compiled.artefact.len() + 4_096);
        write_frame(&mut body, &serde_json::to_vec(&compiled.facts)?)?;
        write_frame(&mut body, &compiled.artefact)?;
        let mac = self.mac(key, &body).finalize().into_bytes();
        let mut file = match tempfile::NamedTempFile::new_in(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.restore()?;
                tempfile::NamedTempFile::new_in(&self.folder)?
            }
            file => file?,
        };
        file.write_all(&mac)?;
        file.write_all(&body)?;
        file.persist(self.path(key))?;
        Ok(())
    }

    /// Makes the folder again that somebody has removed while it was in use.
    fn restore(&self) -> io::Result<()> {
        make(&self.folder)?;
        match keep(&self.folder.join(SECRET_FILE), &self.secret) {
            // Another process was first. What this one keeps is compiled anew by those that come later.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            kept => kept,
        }
    }

    fn forget_oldest(&self) {
        let Ok(folder) = fs::read_dir(&self.folder) else { return };
        let age = |entry: &fs::DirEntry| entry.metadata().and_then(|m| m.modified()).ok();
        let mut entries: Vec<_> = folder
            .flatten()
            .filter(|e| e.path().extension().is_some_and(|x| x == "cwasm"))
            .map(|e| (age(&e), e.path()))
            .collect();
        entries.sort();
        for (_, path) in entries.iter().rev().skip(MAX_ENTRIES) {
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(&key.0).with_extension("cwasm")
    }

    /// Over the name too, so that an entry cannot stand in for another.
    fn mac(&self, key: &Key, body: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::new_from_slice(&self.secret).expect("a key of HMAC may have any length");
        mac.update(key.0.as_bytes());
        mac.update(body);
        mac
    }
}

/// The key of this folder. One that others can read or write is not secret, and is made anew.
fn secret(path: &Path) -> io::Result<Vec<u8>> {
    if let Ok(bytes) = fs::read(path) {
        let private = fs::metadata(path)?.permissions().mode() & 0o077 == 0;
        if private && bytes.len() == SECRET_BYTES {
            return Ok(bytes);
        }
        fs::remove_file(path)?;
    }
    let mut bytes = vec![0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
    match keep(path, &bytes) {
        Ok(()) => Ok(bytes),
        // Another process made it first.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => fs::read(path),
        Err(e) => Err(e),
    }
}

/// Writes a key that only this user may read, unless there is one.
fn keep(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)?.write_all(secret)
}

/// Makes a folder into which only this user may look.
fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
