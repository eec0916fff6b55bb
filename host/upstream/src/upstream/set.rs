//! The endpoints of an upstream at one time.

use std::{collections::HashMap, ops::Deref, sync::Arc};

use edgewit_model as model;
use xxhash_rust::xxh3::xxh3_64;

use super::{Endpoint, EndpointId, UpstreamError, affinity::Tags, latency::Millis};
use crate::{
    balance::{self, Member, Policy, Variant},
    discover::Found,
};

/// The endpoints of an upstream at one time, with what chooses among them. Never changed: discovery puts another in its
/// place, and whoever holds this one goes on with it.
pub struct EndpointSet {
    endpoints: Vec<Arc<Endpoint>>,
    pub(super) policy: Box<dyn Policy>,
    /// For each endpoint the word by which clients find it again; empty without affinity.
    tags: Vec<u64>,
}

/// What sets are made by.
pub(super) struct Recipe {
    balance: &'static Variant,
    tls: model::UpstreamTls,
    tags: Option<Tags>,
    slow_start: bool,
}

impl Recipe {
    pub(super) fn new(config: &model::Upstream) -> Self {
        Self {
            balance: balance::variant(config.balance),
            tls: config.tls.clone(),
            tags: config.affinity.as_ref().map(|affinity| Tags::new(&config.name, affinity)),
            slow_start: config.slow_start.is_some(),
        }
    }
}

impl EndpointSet {
    pub(super) fn new(recipe: &Recipe, endpoints: Vec<Arc<Endpoint>>) -> Self {
        let member = |endpoint: &Arc<Endpoint>| Member {
            key: xxh3_64(endpoint.key().text().as_bytes()),
            weight: endpoint.weight(),
        };
        let members: Vec<Member> = endpoints.iter().map(member).collect();
        let tag = |tags: &Tags| endpoints.iter().map(|e| tags.tag(e.key())).collect();
        let tags = recipe.tags.as_ref().map(tag).unwrap_or_default();
        Self { policy: (recipe.balance.build)(&members), endpoints, tags }
    }

    /// The endpoint with this tag.
    pub(super) fn tagged(&self, tag: u64) -> Option<usize> {
        self.tags.iter().position(|known| *known == tag)
    }

    /// The tag of an endpoint, if its upstream has affinity.
    pub(super) fn tag(&self, id: EndpointId) -> Option<u64> {
        let index = self.endpoints.iter().position(|e| e.id() == id)?;
        self.tags.get(index).copied()
    }

    /// What takes the place of this set when these were found. One that stays is the same endpoint, with its counters, its
    /// health and its connections; one that is found twice gets both shares. `None`: nothing changed.
    pub(super) fn after(
        &self,
        found: &[Found],
        recipe: &Recipe,
    ) -> Result<Option<Self>, UpstreamError> {
        let mut next: Vec<(Arc<Endpoint>, u32)> = Vec::with_capacity(found.len());
        let mut places: HashMap<_, usize> = HashMap::with_capacity(found.len());
        let known: HashMap<_, &Arc<Endpoint>> = self.iter().map(|e| (e.key(), e)).collect();
        for found in found {
            let key = found.key();
            if let Some((_, weight)) = places.get(&key).and_then(|place| next.get_mut(*place)) {
                *weight = weight.saturating_add(found.endpoint.weight);
                continue;
            }
            let endpoint = match known.get(&key) {
                Some(endpoint) => Arc::clone(endpoint),
                None => Arc::new(Endpoint::new(found, &recipe.tls)?),
            };
            places.insert(key, next.len());
            next.push((endpoint, found.endpoint.weight));
        }
        let same = next.len() == self.len()
            && next.iter().zip(self.iter()).all(|((new, weight), old)| {
                Arc::ptr_eq(new, old) && old.weight() == (*weight).max(1)
            });
        if same {
            return Ok(None);
        }
        // Where all are new there is nobody to take what they are spared.
        let warm_up = recipe.slow_start && next.iter().any(|(e, _)| known.contains_key(e.key()));
        for (endpoint, weight) in &next {
            endpoint.set_weight(*weight);
            if warm_up && !known.contains_key(endpoint.key()) {
                endpoint.begin_warm_up(Millis::now());
            }
        }
        Ok(Some(Self::new(recipe, next.into_iter().map(|(endpoint, _)| endpoint).collect())))
    }

    /// One of them.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.iter().find(|e| e.id() == id)
    }
}

impl Deref for EndpointSet {
    type Target = [Arc<Endpoint>];

    fn deref(&self) -> &Self::Target {
        &self.endpoints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(port: u16, weight: u32) -> Found {
        let host = "127.0.0.1".to_owned();
        Found::plain(model::Endpoint { tls: false, host, port, weight })
    }

    fn next(set: &EndpointSet, found: &[Found]) -> Option<EndpointSet> {
        set.after(found, &recipe()).unwrap()
    }

    fn recipe() -> Recipe {
        let name = model::UpstreamName::new("orders").unwrap();
        Recipe::new(&model::Upstream::new(name, Vec::new()))
    }

    fn shown(set: &EndpointSet) -> Vec<(u16, u32)> {
        set.iter().map(|e| (e.port(), e.weight())).collect()
    }

    #[test]
    fn an_endpoint_that_stays_is_the_same() {
        let empty = EndpointSet::new(&recipe(), Vec::new());
        let first = next(&empty, &[found(1, 1), found(2, 1)]).unwrap();
        let second = next(&first, &[found(3, 1), found(2, 5)]).unwrap();
        assert_eq!(shown(&second), [(3, 1), (2, 5)]);
        assert!(Arc::ptr_eq(&first[1], &second[1]));
        assert_eq!(first.len(), 2, "who holds the old set goes on with it");
        assert!(second.endpoint(first[0].id()).is_none());
    }

    #[test]
    fn what_did_not_change_is_not_replaced() {
        let empty = EndpointSet::new(&recipe(), Vec::new());
        assert!(next(&empty, &[]).is_none());
        let first = next(&empty, &[found(1, 1), found(2, 1)]).unwrap();
        assert!(next(&first, &[found(1, 1), found(2, 1)]).is_none());
        assert!(next(&first, &[found(1, 1), found(2, 2)]).is_some());
        assert!(next(&first, &[found(1, 1)]).is_some());
    }

    #[test]
    fn an_endpoint_that_is_found_twice_gets_both_shares() {
        let empty = EndpointSet::new(&recipe(), Vec::new());
        let set = next(&empty, &[found(1, 2), found(2, 1), found(1, 3)]).unwrap();
        assert_eq!(shown(&set), [(1, 5), (2, 1)]);
    }
}
