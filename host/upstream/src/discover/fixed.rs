//! Endpoints that stand in the configuration.

use std::sync::Arc;

use edgewit_model as model;

use super::{Begun, Found, Variant};
use crate::upstream::{Upstream, UpstreamError};

/// Endpoints that stand in the configuration. Host names among them are looked up when a connection is made.
pub(super) const VARIANT: Variant = Variant { name: "fixed", begin };

fn begin(upstream: &Arc<Upstream>, config: &model::Upstream) -> Begun {
    if config.endpoints.is_empty() {
        return Some(Err(UpstreamError::NoEndpoint(config.name.clone())));
    }
    let found: Vec<Found> = config.endpoints.iter().cloned().map(Found::plain).collect();
    Some(upstream.found(&found).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_those_of_the_configuration_in_their_order() {
        let endpoint =
            |port| model::Endpoint { tls: false, host: "localhost".to_owned(), port, weight: 1 };
        let name = model::UpstreamName::new("orders").unwrap();
        let config = model::Upstream::new(name, vec![endpoint(9), endpoint(3)]);
        let upstream = Upstream::new(&config).unwrap();
        let ports: Vec<u16> = upstream.endpoints().iter().map(|e| e.port()).collect();
        assert_eq!(ports, [9, 3]);
    }

    #[test]
    fn an_empty_list_is_refused() {
        let name = model::UpstreamName::new("orders").unwrap();
        let refused = Upstream::new(&model::Upstream::new(name, Vec::new()));
        assert!(matches!(refused, Err(UpstreamError::NoEndpoint(_))));
    }
}
