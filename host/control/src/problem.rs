//! Why a plugin cannot be used, and how that is told.

use edgewit_config::{Code, Diagnostic, Entry, Origin, code};
use edgewit_model::{PluginName, RouteName};
use edgewit_wasm::LoadError;

use crate::{file::FileError, versions::Refusal};

/// A plugin cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which plugin.
    pub plugin: PluginName,
    /// The route and the position in it whose configuration is meant; `None`: the plugin's own.
    pub place: Option<(RouteName, usize)>,
    /// Why.
    pub cause: Cause,
}

/// Why a plugin cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// There is nothing to load.
    #[error("cannot be loaded from `{path}`: {error}")]
    File {
        /// Where it should be.
        path: String,
        /// What is there.
        #[source]
        error: FileError,
    },
    /// It was not taken.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An update that imports more than the version that serves and more than is granted.
    #[error("{error}; {}", difference(before, error))]
    WantsMore {
        /// What is not granted.
        #[source]
        error: LoadError,
        /// What the version that serves imports.
        before: Vec<String>,
    },
    /// A request that the component carries went otherwise than its author says.
    #[error("carries golden requests, which {detail}")]
    Golden {
        /// Which one, and how.
        detail: String,
    },
    /// A filter that authenticates would be left out when it fails.
    #[error("authenticates requests, so `on-error = \"skip\"` would let them in when it fails")]
    FailOpen,
}

impl Problem {
    /// What kind of problem it is.
    pub fn code(&self) -> Code {
        match &self.cause {
            Cause::File { .. } => code::PLUGIN_UNREADABLE,
            Cause::Load(error) | Cause::WantsMore { error, .. } => load_code(error),
            Cause::Golden { .. } => code::PLUGIN_GOLDEN,
            Cause::FailOpen => code::PLUGIN_FAIL_OPEN,
        }
    }

    /// What to do, if there is one thing to do.
    pub fn help(&self) -> Option<String> {
        match &self.cause {
            Cause::File { error: FileError::Missing, .. } => {
                Some("put the file there, or set `source.file` of the plugin".to_owned())
            }
            Cause::File { .. } => None,
            Cause::Golden { .. } => Some("play them at your desk: edgewit plugin test".to_owned()),
            Cause::Load(error) | Cause::WantsMore { error, .. } => error.help(),
            Cause::FailOpen => Some(
                "use `on-error = \"reject\"`, or `on-error = \"skip-even-auth\"` to fail open"
                    .to_owned(),
            ),
        }
    }

    /// The message at its place in the configuration.
    pub fn diagnostic(&self, origin: Option<&Origin>) -> Diagnostic {
        let (message, help) = (self.to_string(), self.help());
        if let Some(origin) = origin {
            return origin.diagnostic_at(self.entry(), self.code(), message, help.as_deref());
        }
        let diagnostic = Diagnostic::new(self.code(), message);
        help.into_iter().fold(diagnostic, Diagnostic::help)
    }

    fn entry(&self) -> Entry<'_> {
        match (&self.place, &self.cause) {
            (Some((route, n)), Cause::Load(LoadError::Config { .. })) => Entry::Filter(route, *n),
            (None, Cause::Load(LoadError::Config { .. })) => Entry::PluginConfig(&self.plugin),
            _ => Entry::Plugin(&self.plugin),
        }
    }

    /// For the history of the plugin's versions.
    pub(crate) fn refusal(&self) -> Refusal {
        let code = self.code().id().to_owned();
        Refusal { code, message: self.to_string(), help: self.help() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.plugin, self.cause)
    }
}

/// What an update imports beside what the version that serves does.
fn difference(before: &[String], error: &LoadError) -> String {
    let LoadError::NotGranted { imports, .. } = error else { return String::new() };
    let signed = |sign: char, of: &[String], without: &[String]| {
        let names = of.iter().filter(|name| !without.contains(name));
        names.map(|name| format!("{sign}{name}")).collect::<Vec<_>>()
    };
    let all = [signed('+', imports, before), signed('-', before, imports)].concat();
    let before = if before.is_empty() { "nothing".to_owned() } else { before.join(", ") };
    format!("the version that serves imports {before}, this one differs by {}", all.join(" "))
}

fn load_code(error: &LoadError) -> Code {
    Code::find(error.code()).unwrap_or(code::PLUGIN_UNREADABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(cause: Cause) -> Problem {
        Problem { plugin: PluginName::new("geo").unwrap(), place: None, cause }
    }

    #[test]
    fn a_problem_says_what_is_wrong_and_what_to_do() {
        let missing =
            Cause::File { path: "plugins/geo.wasm".to_owned(), error: FileError::Missing };
        let text = problem(missing).diagnostic(None).render(false);
        assert!(
            text.starts_with(
                "error[E0401]: `geo` cannot be loaded from `plugins/geo.wasm`: there is"
            )
        );
        assert!(text.contains("help: put the file there"), "{text}");
        let text = problem(Cause::FailOpen).diagnostic(None).render(false);
        assert!(text.contains("error[E0") && text.contains("skip-even-auth"), "{text}");
    }

    #[test]
    fn an_update_that_wants_more_shows_the_difference() {
        let names = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let error = LoadError::NotGranted {
            missing: names(&["kv", "rate"]),
            imports: names(&["log", "kv", "rate"]),
        };
        let problem = problem(Cause::WantsMore { error, before: names(&["log", "clock"]) });
        let text = problem.diagnostic(None).render(false);
        for words in [
            "error[E0404]: `geo` wants a capability that is not granted: imports `edgewit:filter/kv`, `edgewit:filter/rate`",
            "the version that serves imports log, clock, this one differs by +kv +rate -clock",
            "help: allow = { kv = true, rate = true }",
        ] {
            assert!(text.contains(words), "no {words} in {text}");
        }
    }

    #[test]
    fn every_load_error_has_a_code_that_is_explained() {
        let detail = String::new;
        let errors = [
            LoadError::NotComponent { what: detail() },
            LoadError::WrongVersion { found: detail() },
            LoadError::Config { message: detail() },
            LoadError::NotGranted { missing: Vec::new(), imports: Vec::new() },
            LoadError::UnknownImport { import: detail() },
            LoadError::NoPhase { exports: Vec::new() },
            LoadError::Invalid { detail: detail() },
            LoadError::TooLarge { size: 0, limit: 0 },
            LoadError::Compile { detail: detail() },
            LoadError::Contract { detail: detail() },
            LoadError::Host { detail: detail() },
        ];
        for error in errors {
            assert!(Code::find(error.code()).is_some(), "{} {error}", error.code());
        }
    }
}
