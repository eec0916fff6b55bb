//! Where the endpoints of an upstream come from.

mod fixed;

use std::sync::Arc;

use edgewit_model as model;

use crate::upstream::{Upstream, UpstreamError};

/// A source of endpoints.
pub struct Variant {
    /// Its word in the configuration and in metrics.
    pub name: &'static str,
    /// Tells an upstream its endpoints, now and as long as it lives; `None` if it does not use this source.
    pub(crate) begin: fn(&Arc<Upstream>, &model::Upstream) -> Option<Result<(), UpstreamError>>,
}

/// All sources; the first that an upstream uses gives its endpoints.
pub const TABLE: &[Variant] = &[fixed::VARIANT];

/// Tells an upstream its endpoints, from the source it uses.
pub(crate) fn begin(
    upstream: &Arc<Upstream>,
    config: &model::Upstream,
) -> Result<(), UpstreamError> {
    let used = TABLE.iter().find_map(|source| (source.begin)(upstream, config));
    used.unwrap_or_else(|| Err(UpstreamError::NoEndpoint(config.name.clone())))
}

/// An endpoint as a source found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) endpoint: model::Endpoint,
    /// The name to call it by instead of its address: in `host`, and in the certificate.
    pub(crate) name: Option<String>,
}

/// What makes an endpoint the same when it is found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) name: Option<String>,
}

impl Found {
    /// One that is called as it is addressed.
    pub(crate) fn plain(endpoint: model::Endpoint) -> Self {
        Self { endpoint, name: None }
    }

    pub(crate) fn key(&self) -> Key {
        let model::Endpoint { tls, ref host, port, .. } = self.endpoint;
        Key { tls, host: host.clone(), port, name: self.name.clone() }
    }
}
