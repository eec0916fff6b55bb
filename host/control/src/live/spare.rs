//! Versions that do not serve, but could at once: the one before, and one that was uploaded.
//!
//! With the one that serves that makes three of a plugin. What they replace is dropped as soon as no request uses it.

use std::sync::Arc;

use edgewit_model::PluginName;

use super::Live;
use crate::{
    Digest,
    file::Component,
    prepare::Prepared,
    stock::{self, Pin},
    usage::LimitsView,
    versions::Standing,
};

/// At most two versions of a plugin beside the one that serves.
#[derive(Default)]
pub(super) struct Spares {
    /// The one that served before.
    pub(super) previous: Option<Arc<Prepared>>,
    /// One that was uploaded, or that somebody went back from.
    pub(super) candidate: Option<Arc<Prepared>>,
}

impl Spares {
    /// Those there are.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Prepared>> {
        self.candidate.iter().chain(&self.previous)
    }

    /// A version serves now that may have been one of them.
    fn took_out(&mut self, digest: Digest) {
        let is = |spare: &Arc<Prepared>| spare.digest == digest;
        self.candidate.take_if(|spare| is(spare));
        self.previous.take_if(|spare| is(spare));
    }
}

impl Live {
    /// Another version of a plugin serves now than `before`.
    pub(super) fn replaced(&mut self, name: &PluginName, before: Option<Arc<Prepared>>) {
        let Some(now) = self.plugins.get(name) else { return };
        let digest = now.digest;
        let spares = self.spares.entry(name.clone()).or_default();
        spares.took_out(digest);
        if let Some(before) = before.filter(|before| before.digest != digest) {
            spares.previous = Some(Arc::clone(&before));
            self.begin_probation(name, &before);
        }
    }

    /// Puts down whether the file of a plugin is what serves; if not, that this is meant so until the file changes.
    pub(super) fn pin(&mut self, name: &PluginName) {
        let Some(serving) = self.plugins.get(name) else { return };
        let file = self.in_file(name).map(|component| component.digest);
        match file {
            Some(digest) if digest == serving.digest => {
                self.pins.remove(name);
                self.astray.remove(name);
            }
            Some(instead_of) => {
                let component = serving.component.clone();
                self.pins.insert(name.clone(), Pin { component, instead_of });
                self.astray.insert(name.clone());
            }
            None => {
                self.pins.remove(name);
                self.astray.insert(name.clone());
            }
        }
    }

    /// The file of a plugin has changed, so that it counts again.
    pub(super) fn unpin(&mut self, name: &PluginName) {
        if self.pins.remove(name).is_some() {
            self.astray.remove(name);
            let message = "the file has changed and counts again, not the version that was decided";
            tracing::info!(plugin = %name, "{message}");
            self.parts.status.event_of(name, "file", format!("`{name}`: {message}"));
        }
    }

    /// What is in a plugin's file, if that is a component.
    pub(super) fn in_file(&self, name: &PluginName) -> Option<Component> {
        let plugin = self.plugin(name)?;
        Component::read(&plugin.path, plugin.limits.file_size).ok()
    }

    /// A plugin that the configuration declares, or that lies in the folder.
    pub(super) fn plugin(&self, name: &PluginName) -> Option<edgewit_model::Plugin> {
        let config = &self.world.config;
        let found = self.plugins.get(name).map(|prepared| prepared.path.clone());
        let refused = || self.refused.iter().find(|r| r.name == *name).map(|r| r.path.clone());
        let path = found.or_else(refused).or_else(|| Some(config.plugins.get(name)?.path.clone()));
        Some(stock::plugin_of(config, name, path?))
    }

    /// Puts down how a plugin stands.
    pub(super) fn tell_standing(&self, name: &PluginName) {
        let Some(serving) = self.plugins.get(name) else { return };
        let spare = |pick: fn(&Spares) -> &Option<Arc<Prepared>>| {
            self.spares.get(name).and_then(|s| pick(s).as_ref()).map(|spare| spare.digest)
        };
        let limits = serving
            .settings()
            .map(|settings| LimitsView::new(&settings.limits, &self.world.config.request_limits));
        let namespace = serving.settings().map(|settings| settings.namespace.as_str());
        let standing = Standing {
            serving: Some(serving.digest),
            astray: self.astray.contains(name),
            pinned: self.pins.contains_key(name),
            disabled: self.disabled.contains(name),
            limits,
            namespace: namespace.unwrap_or_default(),
            previous: spare(|s| &s.previous),
            candidate: spare(|s| &s.candidate),
            breaker: Some(Arc::clone(&serving.breaker)),
        };
        self.parts.versions.stand(name, standing);
    }
}
