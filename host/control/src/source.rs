//! Where the configuration comes from, and what the command line puts in its place.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use edgewit_config::{Diagnostic, Files, Memo, Origin, Report, code};
use edgewit_model::{Admin, Config};

use crate::watch::ConfigFiles;

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, read anew at each reload.
    File(PathBuf),
    /// A text that came from elsewhere, such as standard input.
    Text {
        /// What messages call it.
        name: String,
        /// The TOML.
        text: String,
        /// What relative paths start from.
        base: PathBuf,
    },
    /// The built-in hello.
    Welcome,
}

/// What the command line says in the place of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Address of the only listener.
    pub listen: Option<SocketAddr>,
    /// Address of the administration endpoint.
    pub admin: Option<SocketAddr>,
    /// Directives of the log filter.
    pub log_level: Option<String>,
    /// Folder for compiled plugins.
    pub state_dir: Option<PathBuf>,
}

/// A checked configuration, with its places if it has any.
pub(crate) struct Read {
    pub(crate) config: Config,
    /// Places for later messages; the built-in configuration has none.
    pub(crate) origin: Option<Origin>,
}

impl Source {
    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Source::File(path) => Some(path),
            Source::Text { .. } | Source::Welcome => None,
        }
    }

    /// Reads and checks the configuration.
    pub(crate) fn read(&self, overrides: &Overrides) -> Result<Read, Report> {
        self.read_again(overrides, None)
    }

    /// `memo`: what was found out when it was read before.
    fn read_again(&self, overrides: &Overrides, memo: Option<&mut Memo>) -> Result<Read, Report> {
        let loaded = match self {
            Source::File(path) => Some(match memo {
                Some(memo) => edgewit_config::load_again(path, memo)?,
                None => edgewit_config::load(path)?,
            }),
            Source::Text { name, text, base } => Some(edgewit_config::load_text(name, text, base)?),
            Source::Welcome => None,
        };
        let (mut config, origin) = match loaded {
            Some(loaded) => (loaded.config, Some(loaded.origin)),
            None => (edgewit_config::welcome(), None),
        };
        overrides.apply(&mut config)?;
        Ok(Read { config, origin })
    }

    /// The same for a server, which reads it again and again; with what to watch from then on, if that is wanted. `before`:
    /// what was watched so far.
    pub(crate) fn read_for(
        &self,
        overrides: &Overrides,
        memo: &mut Memo,
        watch: bool,
        before: Option<&ConfigFiles>,
    ) -> (Result<Read, Report>, Option<ConfigFiles>) {
        let mut read = || self.read_again(overrides, Some(memo));
        match watch {
            true => read_to_watch(read, before),
            false => (read(), None),
        }
    }
}

/// A change while the files were being read would not be seen later, so they have to be the same before and after, whether they
/// are good or bad. Mostly they are those that were watched so far, and it is enough to read once.
fn read_to_watch(
    mut read: impl FnMut() -> Result<Read, Report>,
    before: Option<&ConfigFiles>,
) -> (Result<Read, Report>, Option<ConfigFiles>) {
    let mut before = before.map(ConfigFiles::as_now);
    let mut tries = 1..TRIES;
    loop {
        let read = read();
        let now = match &read {
            Ok(read) => read.files().map_or_else(ConfigFiles::default, ConfigFiles::of),
            // What it has not come to may be what it was.
            Err(report) => ConfigFiles::of(report.files()).with(before.as_ref()),
        };
        if before.as_ref() == Some(&now) || tries.next().is_none() {
            return (read, Some(now));
        }
        before = Some(now);
    }
}

/// A file that somebody writes all the time is not waited for.
const TRIES: usize = 3;

impl Read {
    /// Warnings about the configuration.
    pub(crate) fn warnings(&self) -> Report {
        self.origin.as_ref().map(|origin| origin.warnings.clone()).unwrap_or_default()
    }

    /// What it was read from.
    fn files(&self) -> Option<&Files> {
        self.origin.as_ref().map(|origin| &origin.files)
    }
}

impl Overrides {
    fn apply(&self, config: &mut Config) -> Result<(), Diagnostic> {
        if let Some(address) = self.listen {
            let names: Vec<_> = config.listeners.keys().map(ToString::to_string).collect();
            match config.listeners.values_mut().next() {
                Some(listener) if names.len() == 1 => {
                    listener.listen = address;
                    listener.inherited = None;
                }
                _ => {
                    let message = "`--listen` needs a configuration with one listener";
                    let note = format!("it has {}", names.join(", "));
                    return Err(Diagnostic::new(code::INVALID_VALUE, message).note(note));
                }
            }
        }
        if let Some(listen) = self.admin {
            if !listen.ip().is_loopback() {
                let message = format!("`--admin {listen}` is no loopback address");
                return Err(Diagnostic::new(code::ADMIN_ADDRESS, message));
            }
            config.admin = Some(Admin { listen });
        }
        if let Some(level) = &self.log_level {
            config.telemetry.log_level = Some(level.clone());
        }
        if let Some(folder) = &self.state_dir {
            config.server.state_dir = folder.clone();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, overrides: &Overrides) -> Result<Config, String> {
        let (name, text) = ("edgewit.toml".to_owned(), text.to_owned());
        let source = Source::Text { name, text, base: PathBuf::new() };
        source.read(overrides).map(|read| read.config).map_err(|report| report.to_string())
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let address: SocketAddr = ([127, 0, 0, 1], 1234).into();
        let both =
            Overrides { listen: Some(address), admin: Some(address), ..Overrides::default() };
        let config = read("", &both).unwrap();
        assert_eq!(config.listeners["http"].listen, address);
        assert_eq!(config.admin.unwrap().listen, address);
        let two = "[listeners.a]\nlisten = '127.0.0.1:1'\n[listeners.b]\nlisten = '127.0.0.1:2'";
        assert!(read(two, &both).unwrap_err().contains("it has a, b"));
        let open = Overrides { admin: Some(([0, 0, 0, 0], 1).into()), ..Overrides::default() };
        assert!(read("", &open).unwrap_err().contains("loopback"));
    }
}
