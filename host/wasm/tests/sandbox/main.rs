//! Filters written to do harm, called directly: what each limit does in each phase, and what one leaves to the next.

mod bench;

mod guest;

mod phases;

mod time;

mod tenants;

mod handles;

mod faults;

mod mutants;

mod generated;

mod determinism;
