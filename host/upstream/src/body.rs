//! Why a body ended before its end.

mod outgoing;

mod incoming;

mod trailers;

use std::{error::Error, fmt, sync::Arc};

pub use incoming::InBody;
pub use outgoing::OutBody;
pub use trailers::{MAX_TRAILERS, TooManyTrailers, checked_trailers, may_trail};

pub(crate) use incoming::Hold;
pub(crate) use outgoing::Watch;

/// Why a body broke off, by whose fault it is.
///
/// A body that ends with this error is never presented as complete: towards an upstream the request is aborted, towards
/// a client the connection is cut or the stream reset.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// The client broke off its request, or sent it too slowly, or sent too much of it.
    #[error("the request body of the client broke off")]
    Client(#[source] Cause),
    /// The upstream broke off its response, or stood still for too long.
    #[error("the response body of the upstream broke off")]
    Upstream(#[source] Cause),
    /// A filter stopped the body or failed on it.
    #[error("a filter stopped the body")]
    Filter(#[source] Cause),
    /// A limit or failure of the host itself.
    #[error("the host stopped the body")]
    Host(#[source] Cause),
}

/// The error behind another one. Cloning shares it.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Takes an error, or a text as one.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
