//! The proxy over real sockets, with filters written natively.

mod support;

mod way;

mod guard;

mod hostile;

mod bodies;

mod filters;

mod retries;

mod timeouts;

mod protocols;

mod lifecycle;
