//! Where the endpoints of an upstream come from.

mod fixed;

mod dns;

mod file;

mod found;

mod news;

mod last_good;

use std::sync::Arc;

use edgewit_model as model;

use crate::upstream::{Upstream, UpstreamError};

pub(crate) use found::{Found, Key};

pub use news::News;

/// A source of endpoints.
pub struct Variant {
    /// Its word in the configuration and in metrics.
    pub name: &'static str,
    /// Tells an upstream its endpoints, now and as long as it lives; `None` if it does not use this source.
    pub(crate) begin: fn(&Arc<Upstream>, &model::Upstream) -> Begun,
}

/// Whether a source began; `None`: the upstream does not use it.
pub(crate) type Begun = Option<Result<(), UpstreamError>>;

/// All sources; the first that an upstream uses gives its endpoints.
pub const TABLE: &[Variant] = &[dns::VARIANT, file::VARIANT, fixed::VARIANT];

/// Tells an upstream its endpoints, from the source it uses.
pub(crate) fn begin(
    upstream: &Arc<Upstream>,
    config: &model::Upstream,
) -> Result<(), UpstreamError> {
    let used = TABLE.iter().find_map(|source| (source.begin)(upstream, config));
    used.unwrap_or_else(|| Err(UpstreamError::NoEndpoint(config.name.clone())))
}

/// Endpoints of one upstream at most. A choice looks at all of them, and each has its own series.
const MOST_ENDPOINTS: usize = 1_000;
