//! Endpoints that stand in the configuration.

use std::sync::Arc;

use edgewit_model as model;

use super::{Endpoints, Variant};
use crate::upstream::Endpoint;

/// Endpoints that stand in the configuration. Host names among them are looked up when a connection is made.
pub(super) const VARIANT: Variant = Variant { name: "fixed", endpoints };

fn endpoints(config: &model::Upstream) -> Option<Endpoints> {
    let live = |e: &model::Endpoint| Endpoint::new(e, &config.tls).map(Arc::new);
    Some(config.endpoints.iter().map(live).collect())
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
        let ports: Vec<u16> =
            endpoints(&config).unwrap().unwrap().iter().map(|e| e.port()).collect();
        assert_eq!(ports, [9, 3]);
    }
}
