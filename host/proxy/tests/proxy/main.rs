//! The proxy over real sockets, with filters written natively.

mod support;

mod way;

mod guard;

mod bodies;

mod filters;

mod retries;

mod timeouts;

mod protocols;

mod lifecycle;

mod routing;

mod targets;

mod edits;

mod cors;

mod compression;

mod policies;

mod mirror;
