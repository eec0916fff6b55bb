//! Where compiled plugins are kept.

use std::{
    fs::DirBuilder,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
};

use edgewit_model::Config;

/// The server's own folder, so that the next start is quick; a temporary one where this user may not write.
#[derive(Debug)]
pub(crate) enum CacheDir {
    Own(PathBuf),
    Temporary(tempfile::TempDir),
}

/// Bytes that have to fit in, beside which compiled plugins are kept or not as there is room.
const PROBE: usize = 4 << 10;

impl CacheDir {
    /// Finds out whether the folder of the configuration can be written to.
    pub(crate) fn new(config: &Config) -> io::Result<Self> {
        let own = config.server.state_dir.join("compiled");
        // Whoever could write there could put native code there.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&own);
        // On a full disk there is still room for a file, but not for anything in it.
        let write = || tempfile::tempfile_in(&own).and_then(|mut file| file.write_all(&[0; PROBE]));
        match made.and_then(|()| write()) {
            Ok(_) => Ok(Self::Own(own)),
            Err(error) => {
                let folder = own.display();
                tracing::warn!(%folder, %error, "compiled plugins are not kept for the next start");
                tempfile::tempdir().map(Self::Temporary)
            }
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Own(path) => path.clone(),
            Self::Temporary(folder) => folder.path().to_path_buf(),
        }
    }
}
