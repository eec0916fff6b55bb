//! `edgewit-plugin.toml`: what an author says about a filter.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::Deserialize;

/// Name of the file in the folder of a filter.
pub(crate) const FILE: &str = "edgewit-plugin.toml";

/// What an author says about a filter.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Its name, which is also the stem of the file that is made.
    pub(crate) name: String,
    pub(crate) version: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    /// Where its source is.
    pub(crate) source: Option<String>,
    /// File with the JSON Schema of its configuration.
    pub(crate) config_schema: Option<String>,
    /// Capabilities that it may import beyond those that every filter has.
    #[serde(default)]
    pub(crate) requires: Vec<String>,
    pub(crate) build: Build,
}

/// How the component is made.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Build {
    /// Run by `sh -c` in the folder.
    pub(crate) command: String,
    /// What it makes.
    pub(crate) output: String,
    /// Files and folders that it is made of.
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read by tools that build on change; here only its shape is checked"
    )]
    pub(crate) watch: Vec<String>,
}

impl Manifest {
    /// Reads the file in a folder.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("there is no `{}`", path.display()))?;
        let manifest: Self =
            toml::from_str(&text).with_context(|| format!("in `{}`", path.display()))?;
        edgewit_model::PluginName::new(&manifest.name)
            .with_context(|| format!("in `{}`: `{}`", path.display(), manifest.name))?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_strictly() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            fs::write(folder.path().join(FILE), text).unwrap();
            Manifest::read(folder.path()).map_err(|e| format!("{e:#}"))
        };
        let good = "name = 'a'\nversion = '1'\n[build]\ncommand = 'make'\noutput = 'a.wasm'";
        assert_eq!(read(good).unwrap().build.command, "make");
        assert!(read(&good.replace("version", "verzion")).unwrap_err().contains("verzion"));
        assert!(read(&good.replace("'a'", "'A B'")).unwrap_err().contains("a name is"));
    }
}
