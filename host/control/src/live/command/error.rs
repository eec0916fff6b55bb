//! Why nothing came of a command.

use crate::{live::ChangeError, problem::Problem};

/// Why nothing came of it. What served before serves on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{message}")]
    Refused {
        message: String,
        /// Each with code, message and help.
        diagnostics: serde_json::Value,
    },
    #[error("{0}")]
    Draining(String),
    #[error("{0}")]
    Fault(String),
}

impl CommandError {
    pub(super) fn refused(problems: &[Problem]) -> Self {
        let refusals: Vec<_> = problems.iter().map(Problem::refusal).collect();
        let words: Vec<_> = refusals.iter().map(|r| r.message.as_str()).collect();
        let message = match words.as_slice() {
            [] => "the log says why it could not be made live".to_owned(),
            some => some.join("; "),
        };
        let diagnostics = serde_json::to_value(&refusals).unwrap_or_default();
        CommandError::Refused { message, diagnostics }
    }
}

impl From<ChangeError> for CommandError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(report) => CommandError::Refused {
                message: "the configuration is refused, the old one serves on".to_owned(),
                diagnostics: serde_json::to_value(&report).unwrap_or_default(),
            },
            ChangeError::Draining => CommandError::Draining(error.to_string()),
            ChangeError::Listen(_) => CommandError::Conflict(error.to_string()),
            ChangeError::Fault => CommandError::Fault(error.to_string()),
        }
    }
}
