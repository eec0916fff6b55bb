//! What is a filter, in which order do filters run, and what happens if one fails?
//!
//! A [`Filter`] is one configured version of a plugin. A [`Chain`] is the ordered list of filters of one route. A [`Run`] takes
//! one exchange through a chain: it asks each filter in its phase, applies what the filter decided to the
//! [`Exchange`], keeps the ledger of what may still be spent, and turns failures into what `on-error` says.
//!
//! This crate never reads a socket and knows nothing of WebAssembly. Start reading at [`Run`].

mod chain;

mod run;

mod body;

mod filter;

mod exchange;

mod needs;

mod phase;

mod verdict;

mod header_out;

mod stop;

mod breaker;

pub use body::{BodyPass, BodyPipe, Direction};
pub use breaker::{Breaker, Change, Counts, Told};
pub use chain::{Chain, Link, Observer};
pub use exchange::{Exchange, ResponseHead, Scheme};
pub use filter::{Allowance, Call, CallReport, Filter, Instance, Outcome, Prints, Returned};
pub use header_out::{HeaderOut, HeaderOutError};
pub use needs::{BodyMode, Fact, Facts, Needs};
pub use phase::{Phase, Phases};
pub use run::{Failed, Passage, Proposal, ResponsePassage, Run, SlotReport};
pub use stop::{Stop, StopReason};
pub use verdict::{
    Answer, Attempt, AuthVerdict, BodyVerdict, Edit, Ending, Failure, RequestVerdict,
    ResponseVerdict, RetryVerdict, RoutingVerdict, Summary, SummaryEnding,
};
