//! The names of facts, as configurations write them.

use crate::bindings::capabilities::edgewit::filter::types::Fact;

impl Fact {
    /// All facts, in the order of the contract.
    pub const ALL: [Fact; 13] = [
        Fact::Method,
        Fact::Scheme,
        Fact::Authority,
        Fact::Path,
        Fact::Query,
        Fact::ClientAddress,
        Fact::Protocol,
        Fact::Listener,
        Fact::Route,
        Fact::RequestId,
        Fact::Subject,
        Fact::Upstream,
        Fact::ClientIdentity,
    ];

    /// Its name in the contract, for example `client-address`.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Method => "method",
            Fact::Scheme => "scheme",
            Fact::Authority => "authority",
            Fact::Path => "path",
            Fact::Query => "query",
            Fact::ClientAddress => "client-address",
            Fact::Protocol => "protocol",
            Fact::Listener => "listener",
            Fact::Route => "route",
            Fact::RequestId => "request-id",
            Fact::Subject => "subject",
            Fact::Upstream => "upstream",
            Fact::ClientIdentity => "client-identity",
        }
    }

    /// The fact of that name.
    pub fn named(name: &str) -> Option<Self> {
        Fact::ALL.into_iter().find(|fact| fact.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_the_order_of_the_contract() {
        for (position, fact) in Fact::ALL.into_iter().enumerate() {
            assert_eq!(fact as usize, position);
            assert_eq!(Fact::named(fact.name()), Some(fact));
        }
        assert_eq!(Fact::named("Method"), None);
    }
}
