//! The proxy over real sockets, with filters written natively.

mod support;

mod way;

mod guard;

mod hostile;

mod bodies;

mod filters;

mod lane;

mod faults;

mod retries;

mod resilience;

mod rests;

mod overload;

mod discovered;

mod timeouts;

mod protocols;

mod upgrades;

mod grpc;

mod passing;

mod refusals;

mod broken;

mod lifecycle;

mod drains;

mod releases;

mod together;

mod tls;

mod client_auth;

mod misdirected;

mod renewal;

mod handshakes;

mod proxied;

mod connections;

mod adopted;

mod affinity;

mod routing;

mod targets;

mod edits;

mod cors;

mod compression;

mod policies;

mod mirror;
