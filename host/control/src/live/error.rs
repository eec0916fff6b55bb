//! Why something did not go live.

use edgewit_config::Report;
use edgewit_proxy::ListenError;

/// Why a change did not go live. What served before serves on.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Something is wrong with the configuration or its plugins.
    #[error("{0}")]
    Refused(Report),
    /// An address cannot be listened on.
    #[error("{}", crate::error::chain(.0))]
    Listen(#[from] ListenError),
    /// It is about to end.
    #[error("draining, so nothing is changed any more")]
    Draining,
    /// A fault in Edgewit itself.
    #[error("edgewit has met a fault of its own; the log has more")]
    Fault,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something is wrong with the configuration or its plugins.
    #[error("{0}")]
    Refused(#[from] Report),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The administration endpoint cannot be listened on.
    #[error("could not listen on {address} for administration")]
    Admin {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// There are no threads.
    #[error("workers could not be started")]
    Workers(#[source] std::io::Error),
    /// There is no folder for compiled plugins.
    #[error("there is no folder for compiled plugins")]
    Folder(#[source] std::io::Error),
    /// There is no engine.
    #[error(transparent)]
    Runtime(#[from] edgewit_wasm::RuntimeError),
    /// A fault in Edgewit itself.
    #[error("edgewit has met a fault of its own")]
    Fault,
}

impl From<Report> for ChangeError {
    fn from(report: Report) -> Self {
        ChangeError::Refused(report)
    }
}
