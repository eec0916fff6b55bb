//! Which endpoint, how often, how do we lose nothing?
//!
//! One attempt is [`send`]: it chooses an endpoint, takes a connection of the worker's [`Pools`], sends the request and
//! gives a response whose body hands the connection back at its clean end. Whether another attempt follows is
//! [`decide`], a pure function, and [`Budget`] keeps all attempts together from becoming a storm. Endpoints in trouble are
//! passed over, as active checks and the outcomes of attempts tell, and the [`Circuit`] bounds what is under way.
//!
//! Nothing here knows routes, filters or clients, writes metrics or logs on the way of a request: [`Counters`] are plain
//! numbers for others to read; what is logged is that an endpoint became available or ceased to be. Connections belong to
//! one worker and are never locked; what workers share ([`Upstream`]) is atomic, but for the waiting room of a circuit
//! that is full. Start reading at [`send`].

mod send;

mod upstream;

mod background;

mod discover;

mod resolve;

mod balance;

mod pool;

mod connect;

mod wire;

mod tunnel;

mod socket;

mod body;

mod retry;

mod standing;

mod health;

mod outlier;

mod circuit;

mod concurrency;

mod safeguards;

mod budget;

pub use balance::{
    Ask, Candidates, Member, Policy, TABLE as BALANCE_POLICIES, Variant as BalancePolicy,
};
pub use body::{
    BodyError, Cause, InBody, MAX_TRAILERS, OutBody, TooManyTrailers, checked_trailers, may_trail,
};
pub use budget::Budget;
pub use circuit::{Circuit, RetryPermit};
pub use connect::ConnectError;
pub use discover::{News, TABLE as DISCOVERY_SOURCES, Variant as DiscoverySource};
pub use health::{TABLE as HEALTH_CHECKS, Variant as HealthCheck};
pub use pool::Pools;
pub use retry::{Attempt, Decision, Outcome, Proposal, decide, is_idempotent};
pub use safeguards::ServerHealth;
pub use send::{Failure, Processed, ProtocolError, Reason, SendError, Tried, Upgrade, send};
pub use tunnel::Tunnel;
pub use upstream::{
    Counters, Endpoint, EndpointId, EndpointSet, TlsError, Upstream, UpstreamError,
};

/// The number that stands for a part of a request that decides where it goes ([`Upstream::hash_on`]). The same in every
/// process and version.
pub fn hash_of(value: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(value)
}
