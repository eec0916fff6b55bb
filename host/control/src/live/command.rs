//! What an operator asks for while the server runs: another version of a plugin, the one before, none at all.
//!
//! A command changes the same things under the same lock as a reload or a changed file, and whole or not at all. Nothing
//! of it is kept on disk: a restart goes back to what is in the files.

mod error;

use std::{sync::Arc, time::Instant};

use edgewit_model::PluginName;
use serde::Serialize;

use super::{Live, spare::Spares};
use crate::{
    Digest,
    file::Component,
    prepare::{self, Prepared},
    stock::{self, Refused},
    versions::State,
};

pub(crate) use error::CommandError;

/// What an operator asks for.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Check and compile a version, to be swapped to later.
    Upload { plugin: PluginName, component: Vec<u8> },
    /// Let another version serve: the beginning of its digest, or what it says of its version.
    Swap { plugin: PluginName, version: String },
    /// Let the version before serve again.
    Rollback { plugin: PluginName },
    /// Take the plugin out of all chains; `force`: even if it authenticates.
    Disable { plugin: PluginName, force: bool },
    /// Put it back.
    Enable { plugin: PluginName },
    /// Read everything anew.
    Reload,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Done {
    /// Which plugin; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plugin: Option<PluginName>,
    /// The version that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// Number of the generation that serves now.
    pub(crate) generation: u64,
    /// In words.
    pub(crate) message: String,
}

type Outcome = Result<Done, CommandError>;

impl Live {
    /// Does what is asked, and tells of it however it went.
    pub(crate) fn command(&mut self, command: Command) -> Outcome {
        let (asked, plugin) = (command.to_string(), command.plugin().cloned());
        let outcome = self.must_not_drain().map_err(CommandError::from);
        let outcome = outcome.and_then(|()| match command {
            Command::Upload { plugin, component } => self.upload(plugin, component),
            Command::Swap { plugin, version } => self.swap_to(plugin, &version),
            Command::Rollback { plugin } => self.roll_back(plugin),
            Command::Disable { plugin, force } => self.disable(plugin, force),
            Command::Enable { plugin } => self.enable(plugin),
            Command::Reload => self.reload_by_command(),
        });
        let said = match &outcome {
            Ok(done) => done.message.clone(),
            Err(error) => format!("refused: {error}"),
        };
        match &outcome {
            Ok(_) => tracing::info!(command = asked, "{said}"),
            Err(_) => tracing::warn!(command = asked, "{said}"),
        }
        let message = format!("{asked}: {said}");
        match plugin {
            Some(plugin) => self.parts.status.event_of(&plugin, "command", message),
            None => self.parts.status.event("command", message),
        }
        outcome
    }

    fn upload(&mut self, name: PluginName, bytes: Vec<u8>) -> Outcome {
        let plugin = self.plugin(&name).ok_or_else(|| unknown(&name))?;
        let serving = self.plugins.get(&name).cloned();
        let component = Component::of(bytes, plugin.limits.file_size);
        let digest = component.as_ref().ok().map(|component| component.digest);
        if let Some(serving) = serving.as_ref().filter(|s| Some(s.digest) == digest) {
            let message = format!("`{name}` {} serves already", serving.digest.short());
            return Ok(self.done(&name, Some(serving), message));
        }
        let known = digest.and_then(|digest| self.spare(&name, digest)).or_else(|| serving.clone());
        match self.load(&plugin, component, known.as_deref()) {
            Ok(prepared) => {
                let prepared = Arc::new(prepared);
                self.parts.versions.record(&name, prepared.as_version(State::Candidate));
                self.spares.entry(name.clone()).or_default().candidate = Some(prepared.clone());
                self.tell_standing(&name);
                let message = format!(
                    "`{name}` {} {} is ready and can be swapped to",
                    prepared.version(),
                    prepared.digest.short()
                );
                Ok(self.done(&name, Some(&prepared), message))
            }
            Err(problems) => {
                let settings = prepare::wanted(&self.world.config, &plugin);
                let (path, used) = (plugin.path, true);
                let refused = Refused { name, path, digest, problems, used, settings };
                self.parts.tell_refused(&refused, serving.as_deref());
                self.parts.count_swap(&refused.name, "refused");
                Err(CommandError::refused(&refused.problems))
            }
        }
    }

    fn swap_to(&mut self, name: PluginName, wanted: &str) -> Outcome {
        let serving = self.plugins.get(&name).cloned();
        let mut found: Vec<Kept> = Vec::new();
        found.extend(serving.clone().map(Kept::Prepared));
        let spares = self.spares.get(&name).into_iter().flat_map(Spares::iter);
        found.extend(spares.cloned().map(Kept::Prepared));
        found.extend(self.in_file(&name).map(Kept::File));
        if found.is_empty() {
            return Err(unknown(&name));
        }
        found.dedup_by_key(|kept| kept.digest());
        let names: Vec<_> = found.iter().map(|kept| (kept.digest(), kept.version())).collect();
        let picked = pick(wanted, &names).map_err(CommandError::Conflict)?;
        let kept = found.into_iter().find(|kept| kept.digest() == picked);
        let kept = kept.ok_or_else(|| unknown(&name))?;
        if serving.is_some_and(|serving| serving.digest == picked) {
            let message = format!("`{name}` {} serves already", picked.short());
            return Err(CommandError::Conflict(message));
        }
        self.put(&name, kept)
    }

    fn roll_back(&mut self, name: PluginName) -> Outcome {
        let left = self.plugins.get(&name).cloned().ok_or_else(|| unknown(&name))?;
        let previous = self.spares.get(&name).and_then(|spares| spares.previous.clone());
        let Some(previous) = previous else {
            let message = format!("there is no version of `{name}` to go back to");
            return Err(CommandError::Conflict(message));
        };
        let done = self.put(&name, Kept::Prepared(previous))?;
        // Whoever asks twice must not end on the version that both wanted to leave.
        self.spares.insert(name.clone(), Spares { previous: None, candidate: Some(left) });
        self.end_probation(&name);
        self.tell_standing(&name);
        Ok(done)
    }

    fn disable(&mut self, name: PluginName, force: bool) -> Outcome {
        let serving = self.plugins.get(&name).cloned().ok_or_else(|| unknown(&name))?;
        if serving.authenticates() && !force {
            return Err(CommandError::Conflict(format!(
                "`{name}` authenticates requests; without it its routes are open to everybody. \
                 Say `force` if that is what you want"
            )));
        }
        if !self.disabled.insert(name.clone()) {
            return Err(CommandError::Conflict(format!("`{name}` is disabled already")));
        }
        self.with_other_chains(
            &name,
            serving,
            "is out of all chains until it is enabled, or a restart",
        )
    }

    fn enable(&mut self, name: PluginName) -> Outcome {
        let serving = self.plugins.get(&name).cloned().ok_or_else(|| unknown(&name))?;
        if !self.disabled.remove(&name) {
            return Err(CommandError::Conflict(format!("`{name}` is not disabled")));
        }
        self.with_other_chains(&name, serving, "is in its chains again")
    }

    /// The set of disabled plugins has changed by this one.
    fn with_other_chains(
        &mut self,
        name: &PluginName,
        serving: Arc<Prepared>,
        message: &str,
    ) -> Outcome {
        let used = stock::used(&self.world.config).contains(name);
        if let Err(problems) = self.swap(name, Arc::clone(&serving), used) {
            if !self.disabled.remove(name) {
                self.disabled.insert(name.clone());
            }
            return Err(CommandError::refused(&problems));
        }
        self.tell_standing(name);
        Ok(self.done(name, Some(&serving), format!("`{name}` {message}")))
    }

    fn reload_by_command(&mut self) -> Outcome {
        let changed = self.reload()?;
        let what =
            if changed.changed.is_empty() { "nothing".into() } else { changed.changed.join(" ") };
        let message = format!("reloaded, changed: {what}");
        let generation = changed.generation;
        Ok(Done { plugin: None, digest: None, version: None, generation, message })
    }

    /// Makes a version serve that is at hand.
    pub(super) fn put(&mut self, name: &PluginName, kept: Kept) -> Outcome {
        let begun = Instant::now();
        let plugin = self.plugin(name).ok_or_else(|| unknown(name))?;
        let before = self.plugins.get(name).cloned();
        let (known, component) = match kept {
            Kept::Prepared(prepared) => (Some(prepared.clone()), prepared.component.clone()),
            Kept::File(component) => (None, component),
        };
        // The configuration may be another one than when it was prepared.
        let prepared = self.load(&plugin, Ok(component), known.as_deref());
        let used = stock::used(&self.world.config).contains(name);
        let swapped = prepared.and_then(|prepared| {
            let prepared = Arc::new(prepared);
            self.swap(name, Arc::clone(&prepared), used).map(|generation| (prepared, generation))
        });
        match swapped {
            Ok((prepared, generation)) => {
                self.pin(name);
                self.tell_swap(name, before.as_deref(), generation, begun.elapsed());
                let (version, digest) = (prepared.version(), prepared.digest.short());
                let message = format!("`{name}` {version} {digest} serves");
                Ok(self.done(name, Some(&prepared), message))
            }
            Err(problems) => {
                self.parts.count_swap(name, "refused");
                Err(CommandError::refused(&problems))
            }
        }
    }

    fn spare(&self, name: &PluginName, digest: Digest) -> Option<Arc<Prepared>> {
        self.spares.get(name)?.iter().find(|spare| spare.digest == digest).cloned()
    }

    fn done(&self, name: &PluginName, version: Option<&Arc<Prepared>>, message: String) -> Done {
        Done {
            plugin: Some(name.clone()),
            digest: version.map(|prepared| prepared.digest),
            version: version.map(|prepared| prepared.version().to_owned()),
            generation: self.world.snapshot.generation(),
            message,
        }
    }
}

/// A version that can serve without being sent again.
pub(super) enum Kept {
    Prepared(Arc<Prepared>),
    File(Component),
}

impl Kept {
    fn digest(&self) -> Digest {
        match self {
            Kept::Prepared(prepared) => prepared.digest,
            Kept::File(component) => component.digest,
        }
    }

    fn version(&self) -> &str {
        match self {
            Kept::Prepared(prepared) => prepared.version(),
            Kept::File(_) => "",
        }
    }
}

/// Digits of a digest that are enough to mean one of a handful.
const FEWEST_DIGITS: usize = 4;

/// The version that is meant: by the beginning of its digest, or by what it says of itself.
fn pick(wanted: &str, kept: &[(Digest, &str)]) -> Result<Digest, String> {
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted).to_ascii_lowercase();
    let is_digest = digits.len() >= FEWEST_DIGITS;
    let hex = |digest: &Digest| digest.to_string().trim_start_matches("sha256:").to_owned();
    let fits = |(digest, version): &&(Digest, &str)| {
        !wanted.is_empty() && *version == wanted || is_digest && hex(digest).starts_with(&digits)
    };
    let mut fitting: Vec<Digest> = kept.iter().filter(fits).map(|(digest, _)| *digest).collect();
    fitting.sort();
    fitting.dedup();
    let list = |digests: &mut dyn Iterator<Item = Digest>| {
        digests.map(|d| d.short()).collect::<Vec<_>>().join(", ")
    };
    match fitting.as_slice() {
        [one] => Ok(*one),
        [] => Err(format!(
            "no version `{wanted}` is kept, only {}; upload it again",
            list(&mut kept.iter().map(|(digest, _)| *digest))
        )),
        several => Err(format!(
            "`{wanted}` means several versions: {}",
            list(&mut several.iter().copied())
        )),
    }
}

fn unknown(name: &PluginName) -> CommandError {
    CommandError::NotFound(format!("there is no plugin `{name}`"))
}

impl Command {
    /// Which plugin it is about; `None`: all.
    pub(crate) fn plugin(&self) -> Option<&PluginName> {
        match self {
            Command::Upload { plugin, .. }
            | Command::Swap { plugin, .. }
            | Command::Rollback { plugin }
            | Command::Disable { plugin, .. }
            | Command::Enable { plugin } => Some(plugin),
            Command::Reload => None,
        }
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Command::Upload { plugin, component } => {
                write!(f, "upload {plugin}, {} bytes", component.len())
            }
            Command::Swap { plugin, version } => write!(f, "swap {plugin} {version:?}"),
            Command::Rollback { plugin } => write!(f, "rollback {plugin}"),
            Command::Disable { plugin, force: false } => write!(f, "disable {plugin}"),
            Command::Disable { plugin, force: true } => write!(f, "disable {plugin} by force"),
            Command::Enable { plugin } => write!(f, "enable {plugin}"),
            Command::Reload => f.write_str("reload"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_meant_by_its_digest_or_by_its_name() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b")); // ca978112..., 3e23e816...
        let kept = [(a, "1.0.0"), (b, "2.0.0"), (b, "")];
        let cases = [
            ("ca97", Ok(a)),
            ("CA978112", Ok(a)),
            ("sha256:3e23e8", Ok(b)),
            ("1.0.0", Ok(a)),
            ("ca9", Err("no version `ca9` is kept, only ca978112ca1b, 3e23e8160039")),
            ("", Err("no version `` is kept")), // an empty version of a file means nothing
            ("ffff", Err("upload it again")),
        ];
        for (wanted, expected) in cases {
            match (pick(wanted, &kept), expected) {
                (Ok(found), Ok(digest)) => assert_eq!(found, digest, "{wanted}"),
                (Err(said), Err(words)) => assert!(said.contains(words), "{wanted}: {said}"),
                (found, _) => panic!("{wanted}: {found:?}"),
            }
        }
        let same = [(a, "1.0.0"), (b, "1.0.0")];
        assert!(pick("1.0.0", &same).unwrap_err().contains("means several"));
    }
}
