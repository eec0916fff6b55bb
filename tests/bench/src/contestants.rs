//! How each contestant is configured and started.

mod own;

mod nginx;

mod haproxy;

mod envoy;

pub(crate) mod edgewit;

use anyhow::Result;

use crate::contestant::{Kind, Stage, Started};

/// Starts a contestant. `None` where what it needs is not installed.
pub(crate) fn start(stage: &Stage<'_>) -> Result<Option<Started>> {
    match stage.entry.kind {
        Kind::Relay | Kind::HyperInline | Kind::Hyper => own::start(stage).map(Some),
        Kind::Nginx => nginx::start(stage),
        Kind::Haproxy => haproxy::start(stage),
        Kind::Envoy => envoy::start(stage),
        Kind::Reused | Kind::Fresh => edgewit::start(stage).map(Some),
    }
}
