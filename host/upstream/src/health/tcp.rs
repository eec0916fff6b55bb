//! Well is who accepts a connection.

use edgewit_model::HealthKind;

use super::{Ask, Unwell, Variant, dial::Dialed};

/// Well is who accepts a connection, and shakes hands if it speaks TLS.
pub(super) const VARIANT: Variant = Variant {
    name: "tcp",
    takes: |kind| matches!(kind, HealthKind::Tcp),
    check: |ask| Box::pin(check(ask)),
};

async fn check(ask: Ask) -> Result<(), Unwell> {
    Dialed::dial(&ask).await.map(drop)
}
