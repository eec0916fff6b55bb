//! Which endpoint, how often, how do we lose nothing?
//!
//! One attempt is [`send`]: it chooses an endpoint, takes a connection of the worker's [`Pools`], sends the request and
//! gives a response whose body hands the connection back at its clean end. Whether another attempt follows is
//! [`decide`], a pure function, and [`Budget`] keeps all attempts together from becoming a storm.
//!
//! Nothing here knows routes, filters or clients, writes metrics or logs on the way of a request: [`Counters`] are plain
//! numbers for others to read. Connections belong to one worker and are never locked; what workers share ([`Upstream`])
//! is atomic. Start reading at [`send`].

mod send;

mod upstream;

mod discover;

mod resolve;

mod balance;

mod pool;

mod connect;

mod wire;

mod socket;

mod body;

mod retry;

mod budget;

pub use balance::{Candidates, Policy, TABLE as BALANCE_POLICIES, Variant as BalancePolicy};
pub use body::{
    BodyError, Cause, InBody, MAX_TRAILERS, OutBody, TooManyTrailers, checked_trailers, may_trail,
};
pub use budget::Budget;
pub use connect::ConnectError;
pub use discover::{TABLE as DISCOVERY_SOURCES, Variant as DiscoverySource};
pub use pool::Pools;
pub use retry::{Attempt, Decision, Outcome, Proposal, decide, is_idempotent};
pub use send::{Failure, Processed, ProtocolError, SendError, Tried, send};
pub use upstream::{Counters, Endpoint, EndpointId, TlsError, Upstream, UpstreamError};
