//! Asking endpoints how they are.

mod http;

mod streak;

mod tcp;

mod dial;

mod watch;

use std::{future::Future, io, pin::Pin, sync::Arc};

use edgewit_model as model;
use tokio::time::Instant;

use crate::{
    connect::ConnectError,
    upstream::{Endpoint, Upstream},
};

pub(crate) use watch::begin;

/// A kind of check that can be configured.
pub struct Variant {
    /// Its key in the configuration.
    pub name: &'static str,
    /// Whether this configuration is for it.
    pub(crate) takes: fn(&model::HealthKind) -> bool,
    /// Asks once.
    pub(crate) check: fn(Ask) -> Checking,
}

/// All kinds of checks.
pub const TABLE: &[Variant] = &[http::VARIANT, tcp::VARIANT];

/// Whom to ask what.
pub(crate) struct Ask {
    rules: Arc<model::Health>,
    upstream: Arc<Upstream>,
    endpoint: Arc<Endpoint>,
    /// Whoever asks gives up then; this is for those who want to share out their time.
    deadline: Instant,
}

/// The answer, some time.
pub(crate) type Checking = Pin<Box<dyn Future<Output = Result<(), Unwell>> + Send>>;

/// Why an endpoint is not well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwell {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no TLS session: {0}")]
    Tls(io::Error),
    #[error("no HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] ::http::Error),
    #[error("the status is {0}")]
    Status(u16),
    #[error("no answer in time")]
    Timeout,
}

/// Asks once.
async fn ask(ask: Ask) -> Result<(), Unwell> {
    let variant = TABLE.iter().find(|variant| (variant.takes)(&ask.rules.kind));
    let Some(variant) = variant else { return Ok(()) }; // a test rules this out
    let deadline = ask.deadline;
    let answered = tokio::time::timeout_at(deadline, (variant.check)(ask)).await;
    answered.unwrap_or(Err(Unwell::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_one_entry() {
        let path = ::http::uri::PathAndQuery::from_static("/");
        let kinds = [model::HealthKind::Http(model::HttpHealth::new(path)), model::HealthKind::Tcp];
        for kind in &kinds {
            let takers = TABLE.iter().filter(|variant| (variant.takes)(kind)).count();
            assert_eq!(takers, 1, "{kind:?}");
        }
        assert_eq!(kinds.len(), TABLE.len());
    }
}
