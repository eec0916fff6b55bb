//! Where the endpoints of an upstream come from.

mod fixed;

use std::sync::Arc;

use edgewit_model as model;

use crate::upstream::{Endpoint, UpstreamError};

/// A source of endpoints.
pub struct Variant {
    /// Its word in the configuration and in metrics.
    pub name: &'static str,
    /// The endpoints that this source knows for an upstream; `None` if the upstream does not use this source.
    pub(crate) endpoints: fn(&model::Upstream) -> Option<Endpoints>,
}

/// The endpoints of an upstream, in the order of their source.
pub(crate) type Endpoints = Result<Vec<Arc<Endpoint>>, UpstreamError>;

/// All sources; the first that an upstream uses gives its endpoints.
pub const TABLE: &[Variant] = &[fixed::VARIANT];

/// The endpoints of an upstream, from the source it uses.
pub(crate) fn endpoints(config: &model::Upstream) -> Endpoints {
    let used = TABLE.iter().find_map(|source| (source.endpoints)(config));
    used.unwrap_or_else(|| Err(UpstreamError::NoEndpoint(config.name.clone())))
}
