//! Upstreams that misbehave, over real sockets (THREATS B).

mod support;

mod heads;

mod bodies;

mod waits;

mod stale;

mod requests;

mod http2;

mod tls;

mod kept;

mod health;

mod upgrades;

mod discovery;

mod connections;

mod outliers;
