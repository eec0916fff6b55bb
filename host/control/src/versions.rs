//! Which versions of which plugins were there, and what became of them?

use std::{collections::VecDeque, path::PathBuf, sync::Arc};

use dashmap::DashMap;
use edgewit_chain::Breaker;
use edgewit_model::PluginName;
use serde::{Serialize, Serializer};

use crate::{Digest, time::Timestamp, usage::LimitsView};

/// The versions of every plugin that has been seen since the start.
#[derive(Debug, Default)]
pub struct Versions {
    plugins: DashMap<PluginName, VecDeque<Version>>,
    standings: DashMap<PluginName, Standing>,
}

/// One version of a plugin: one content of its file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// Identity of the file's content; `None` if nothing could be read.
    pub digest: Option<Digest>,
    /// What the component says of itself.
    pub version: Option<String>,
    /// Where it was found.
    pub path: PathBuf,
    /// What became of it.
    pub state: State,
    /// When that was.
    pub since: Timestamp,
    /// Milliseconds from the file's content to the swap, all configurations together.
    pub load_ms: u64,
    /// Why it does not serve.
    pub reason: Option<Refusal>,
    /// What the engine knows about it, for each configuration.
    pub configurations: Vec<serde_json::Value>,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Routes use it.
    Active,
    /// It could be used, but no route does.
    Unused,
    /// It could not be loaded.
    Refused,
    /// It served before.
    Previous,
    /// It was uploaded and can be used, but nobody has asked for it yet.
    Candidate,
    /// It served and was stopped so often that the version before it was taken back.
    #[serde(rename = "rolled-back")]
    RolledBack,
}

/// How a plugin stands now, beside the history of its versions.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Standing {
    /// The version that serves, or would if a route used the plugin.
    pub serving: Option<Digest>,
    /// Does something else serve than what is in the plugin's file?
    pub astray: bool,
    /// Was that decided, by command or because the file's version was stopped too often? A restart goes back to the file.
    pub pinned: bool,
    /// Is it taken out of all chains?
    pub disabled: bool,
    /// What it may use.
    pub limits: Option<LimitsView>,
    /// What its state is separate for beside the plugin: `plugin` (nothing) or `route`.
    pub namespace: &'static str,
    /// The version that a roll-back goes back to.
    pub previous: Option<Digest>,
    /// The version that was uploaded, or rolled back from.
    pub candidate: Option<Digest>,
    /// Is the version that serves not called, because it was stopped too often?
    #[serde(rename = "quarantined", serialize_with = "is_open")]
    pub breaker: Option<Arc<Breaker>>,
}

#[expect(clippy::ref_option, reason = "serde asks for a reference to the field")]
fn is_open<S: Serializer>(breaker: &Option<Arc<Breaker>>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bool(breaker.as_ref().is_some_and(|breaker| breaker.is_open()))
}

/// Why a version does not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// A code that `edgewit explain` knows.
    pub code: String,
    /// In words.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Versions that are remembered for each plugin beside the one that serves.
const MOST_PREVIOUS: usize = 5;
/// Plugins that are remembered. Whoever writes a thousand names into the folder has lost track, too.
const MOST_PLUGINS: usize = 1_000;

impl Versions {
    /// Puts down what became of a version. The one that served before becomes a previous one if this one serves.
    pub(crate) fn record(&self, plugin: &PluginName, version: Version) {
        if self.plugins.len() >= MOST_PLUGINS && !self.plugins.contains_key(plugin) {
            return;
        }
        let mut history = self.plugins.entry(plugin.clone()).or_default();
        let same = |v: &Version| v.digest == version.digest;
        history.retain(|v| !(same(v) && v.serves() == version.serves() && v.path == version.path));
        if version.serves() {
            for before in history.iter_mut().filter(|v| v.serves()) {
                before.state = State::Previous;
                before.since = version.since;
            }
            history.retain(|v| !same(v));
        }
        history.push_front(version);
        let mut others = 0;
        history.retain(|v| {
            others += usize::from(!v.serves());
            v.serves() || others <= MOST_PREVIOUS
        });
    }

    /// The version that serves is used now, or is no more.
    pub(crate) fn mark(&self, plugin: &PluginName, state: State) {
        if let Some(mut history) = self.plugins.get_mut(plugin) {
            for version in history.iter_mut().filter(|v| v.serves() && v.state != state) {
                version.state = state;
                version.since = Timestamp::now();
            }
        }
    }

    /// Puts down how a plugin stands.
    pub(crate) fn stand(&self, plugin: &PluginName, standing: Standing) {
        if self.plugins.contains_key(plugin) {
            self.standings.insert(plugin.clone(), standing);
        }
    }

    /// How a plugin stands; `None`: it does not serve.
    pub fn standing(&self, plugin: &PluginName) -> Option<Standing> {
        self.standings.get(plugin).map(|standing| standing.clone())
    }

    /// What became of a version that does not serve.
    pub(crate) fn remark(&self, plugin: &PluginName, digest: Digest, state: State) {
        if let Some(mut history) = self.plugins.get_mut(plugin) {
            for version in history.iter_mut().filter(|v| v.digest == Some(digest) && !v.serves()) {
                version.state = state;
                version.since = Timestamp::now();
            }
        }
    }

    /// The plugin serves no more.
    pub(crate) fn retire(&self, plugin: &PluginName) {
        self.standings.remove(plugin);
        if let Some(mut history) = self.plugins.get_mut(plugin) {
            for version in history.iter_mut().filter(|v| v.serves()) {
                version.state = State::Previous;
                version.since = Timestamp::now();
            }
        }
    }

    /// All plugins by name, each with its versions, the latest first.
    pub fn list(&self) -> Vec<(PluginName, Vec<Version>)> {
        let mut all: Vec<_> = self
            .plugins
            .iter()
            .map(|entry| (entry.key().clone(), entry.value().iter().cloned().collect::<Vec<_>>()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

impl Version {
    fn serves(&self) -> bool {
        matches!(self.state, State::Active | State::Unused)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn version(content: u8, state: State) -> Version {
        Version {
            digest: Some(Digest::of(&[content])),
            version: Some(content.to_string()),
            path: "plugins/a.wasm".into(),
            state,
            since: Timestamp(SystemTime::UNIX_EPOCH),
            load_ms: 1,
            reason: None,
            configurations: Vec::new(),
        }
    }

    fn states(versions: &Versions) -> Vec<(String, State)> {
        let (_, list) = versions.list().remove(0);
        list.into_iter().map(|v| (v.version.unwrap(), v.state)).collect()
    }

    #[test]
    fn one_version_serves_and_five_others_are_remembered() {
        let versions = Versions::default();
        let name = PluginName::new("a").unwrap();
        versions.record(&name, version(0, State::Active));
        for n in 1..=8 {
            let state = if n % 3 == 0 { State::Refused } else { State::Active };
            versions.record(&name, version(n, state));
        }
        let expected = [
            ("8", State::Active),
            ("7", State::Previous),
            ("6", State::Refused),
            ("5", State::Previous),
            ("4", State::Previous),
            ("3", State::Refused),
        ];
        let expected = expected.map(|(v, s)| (v.to_owned(), s));
        assert_eq!(states(&versions), expected);
        versions.record(&name, version(5, State::Active)); // put back
        assert_eq!(
            states(&versions)[..2],
            [("5".into(), State::Active), ("8".into(), State::Previous)]
        );
        versions.record(&name, version(9, State::Refused));
        versions.record(&name, version(9, State::Refused));
        assert_eq!(
            states(&versions)[..2],
            [("9".into(), State::Refused), ("5".into(), State::Active)]
        );
        versions.retire(&name);
        assert!(states(&versions).iter().all(|(_, state)| *state != State::Active));
    }
}
