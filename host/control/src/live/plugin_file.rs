//! What happens to the file of a plugin.

use std::{sync::Arc, time::Instant};

use edgewit_model::PluginName;

use super::Live;
use crate::{
    file::{Component, FileError},
    prepare::{self, Prepared},
    stock::{self, Refused},
    watch::FileChange,
};

impl Live {
    /// Puts what happened to files of plugins that routes use before the rest: each may have to be compiled, and whoever waits
    /// for one that is in use does not wait for what else lies there.
    pub(crate) fn by_urgency(&self, mut changes: Vec<FileChange>) -> Vec<FileChange> {
        let used = stock::used(&self.world.config);
        changes.sort_by_key(|change| !used.contains(&change.name));
        changes
    }

    /// Takes in what happened to the file of a plugin.
    pub(crate) fn plugin_changed(&mut self, change: FileChange) {
        let begun = Instant::now();
        let FileChange { name, path, limit, found, missed } = change;
        let used = stock::used(&self.world.config).contains(&name);
        let known = self.plugins.get(&name).cloned();
        let component = Component::read(&path, limit);
        let digest = component.as_ref().map(|component| component.digest).map_err(Clone::clone);
        match &digest {
            // It has changed since it was seen, and may have changed back before anybody looks again.
            now if *now != found => return missed.say(),
            Ok(digest) if self.pins.get(&name).is_some_and(|pin| pin.instead_of == *digest) => {
                return; // the very content that was decided against
            }
            Err(FileError::Missing) => return self.plugin_gone(&name, used),
            Ok(digest) if known.as_ref().is_some_and(|known| known.digest == *digest) => {
                self.pins.remove(&name);
                if self.astray.remove(&name) {
                    let digest = digest.short();
                    tracing::info!(plugin = %name, digest, "the file is the loaded version again");
                    self.tell_standing(&name);
                }
                return;
            }
            _ => {}
        }
        let plugin = stock::plugin_of(&self.world.config, &name, path.clone());
        let prepared = self.load(&plugin, component, known.as_deref());
        let swapped = prepared.and_then(|prepared| {
            self.astray.remove(&name);
            let swapped = self.swap(&name, Arc::new(prepared), used);
            swapped.map(|generation| (generation, begun.elapsed()))
        });
        match swapped {
            Ok((generation, took)) => {
                self.unpin(&name);
                self.tell_swap(&name, known.as_deref(), generation, took);
            }
            Err(problems) => {
                let settings = prepare::wanted(&self.world.config, &plugin);
                let digest = digest.ok();
                let refused = Refused { name, path, digest, problems, used, settings };
                self.refuse(refused, known.as_deref());
            }
        }
    }

    /// What served before serves on.
    fn refuse(&mut self, refused: Refused, serving: Option<&Prepared>) {
        let is_news = serving.is_some() && self.astray.insert(refused.name.clone());
        if !is_news && refused.is_known(&self.refused) {
            return; // it was told of already
        }
        self.parts.tell_refused(&refused, serving);
        self.parts.count_swap(&refused.name, "refused");
        self.refused.retain(|r| r.name != refused.name);
        let name = refused.name.clone();
        self.refused.push(refused);
        self.tell_standing(&name);
    }

    fn plugin_gone(&mut self, name: &PluginName, used: bool) {
        if used {
            self.astray.insert(name.clone());
            self.refused.retain(|refused| refused.name != *name);
            let message =
                "the file is gone; the loaded version serves on, but a reload needs the file";
            tracing::warn!(plugin = %name, "{message}");
            self.parts.status.event_of(name, "refused", format!("`{name}`: {message}"));
            self.tell_standing(name);
            return;
        }
        self.spares.remove(name);
        self.disabled.remove(name);
        self.pins.remove(name);
        self.refused.retain(|refused| refused.name != *name);
        if self.plugins.remove(name).is_some() {
            self.parts.versions.retire(name);
            self.tell_live();
            tracing::info!(plugin = %name, "removed");
        }
    }
}
