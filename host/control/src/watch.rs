//! Has a file changed?
//!
//! Somebody looks when the system says that something happened, and every two seconds in any case. What counts is the
//! content of a file, and only once it has not changed for a moment.

mod alarm;

mod change;

mod config;

mod plugins;

mod settle;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};

use crate::folder::Wanted;

pub(crate) use change::FileChange;
pub(crate) use config::ConfigFiles;

/// What to watch, and what was read from it last: a part of it that is another one says that it was read anew.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) plugins: Arc<Wanted>,
    /// `None`: the configuration changes only when somebody says so.
    pub(crate) config: Option<Arc<ConfigFiles>>,
}

/// What was seen.
#[derive(Debug)]
pub(crate) enum Sight {
    /// Files of plugins that came, changed or went.
    Plugins(Vec<FileChange>),
    /// The configuration's files are others than they were.
    Config,
}

/// Between two looks when nothing happens; Kubernetes takes longer to write a ConfigMap.
const POLL: Duration = Duration::from_secs(2);
/// Between two looks at something that moves.
const SOON: Duration = Duration::from_millis(50);
/// After an event, so that a burst of them is one look.
const BURST: Duration = Duration::from_millis(5);

/// Watches until nobody listens any more.
pub(crate) async fn watch(mut watched: watch::Receiver<Watched>, out: mpsc::Sender<Sight>) {
    let (bell, mut rings) = mpsc::channel(1);
    let mut eyes = Eyes::new(bell.clone());
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = rings.recv() => tokio::time::sleep(BURST).await,
            changed = watched.changed() => if changed.is_err() { return },
            () = out.closed() => return,
        }
        let now_watched = watched.borrow_and_update().clone();
        let mut looking = eyes;
        let look = tokio::task::spawn_blocking(move || {
            let sights = looking.look(&now_watched);
            (looking, sights)
        });
        let (sights, moving);
        (eyes, (sights, moving)) = match look.await {
            Ok(looked) => looked,
            Err(error) if error.is_cancelled() => return,
            Err(_) => {
                tracing::error!(
                    "a look for changed files has met a fault; the next one begins anew"
                );
                tokio::time::sleep(POLL).await;
                (Eyes::new(bell.clone()), (Vec::new(), false))
            }
        };
        for sight in sights {
            if out.send(sight).await.is_err() {
                return;
            }
        }
        wait = if moving { SOON } else { POLL };
    }
}

struct Eyes {
    alarm: alarm::Alarm,
    plugins: plugins::PluginFiles,
    config: config::ConfigLook,
}

impl Eyes {
    fn new(bell: mpsc::Sender<()>) -> Self {
        Self {
            alarm: alarm::Alarm::new(bell),
            plugins: plugins::PluginFiles::default(),
            config: config::ConfigLook::default(),
        }
    }

    /// What is new, and whether something is still on the move.
    fn look(&mut self, watched: &Watched) -> (Vec<Sight>, bool) {
        let mut folders: BTreeSet<_> = watched.plugins.folders().into_iter().collect();
        folders.extend(watched.config.iter().flat_map(|files| files.parents()));
        self.alarm.watch(&folders);
        let now = Instant::now();
        let mut sights = Vec::new();
        let found = self.plugins.look(&watched.plugins, now);
        if !found.changes.is_empty() {
            sights.push(Sight::Plugins(found.changes));
        }
        let config = watched.config.as_ref().map(|files| self.config.look(files, now));
        if config == Some(settle::Look::Changed) {
            sights.push(Sight::Config);
        }
        (sights, found.moving || config == Some(settle::Look::Moving))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use edgewit_model::ByteSize;

    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn changes_of_real_files_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("edgewit.toml");
        let plugins = folder.path().join("plugins"); // does not exist yet
        std::fs::write(&config, "").unwrap();
        let watched = Watched {
            plugins: Wanted {
                folder: plugins.clone(),
                declared: BTreeMap::new(),
                file_size: ByteSize(1 << 10),
                read: BTreeMap::new(),
            }
            .into(),
            config: Some(ConfigFiles::new(vec![config.clone()], Vec::new()).into()),
        };
        let (_watched, receiver) = watch::channel(watched);
        let (sender, mut sights) = mpsc::channel(8);
        tokio::spawn(watch(receiver, sender));
        let mut next = async || tokio::time::timeout(DEADLINE, sights.recv()).await.unwrap();

        std::fs::create_dir(&plugins).unwrap();
        std::fs::write(plugins.join("new.tmp"), COMPONENT).unwrap();
        std::fs::rename(plugins.join("new.tmp"), plugins.join("a.wasm")).unwrap();
        match next().await {
            Some(Sight::Plugins(changes)) => {
                assert_eq!(changes.len(), 1);
                assert_eq!(changes[0].name.as_str(), "a");
                assert_eq!(changes[0].found, Ok(crate::Digest::of(COMPONENT)));
            }
            other => panic!("{other:?}"),
        }
        std::fs::write(&config, "version = 1").unwrap();
        assert!(matches!(next().await, Some(Sight::Config)));
    }
}
