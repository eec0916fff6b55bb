//! Does anything grow, or fail, when everything happens at once for a long time?
//!
//! A [`Plan`] says how long. [`run`] starts the real program, and then for all that time: honest clients over HTTP/1.1 and
//! HTTP/2, of which every response is judged; a filter that is swapped in all ways there are, and a configuration that is
//! reloaded; and for each hundred honest requests one that is hostile. What the program holds is measured when it is quiet,
//! after a warm-up and at the end. The [`Report`] compares the two and names what broke a bound.
//!
//! It never looks into the program: it knows its sockets, its metrics and what the kernel says of its process. Start
//! reading at [`run`].

mod plan;

mod run;

mod site;

mod honest;

mod change;

mod hostile;

mod frames;

mod sample;

mod report;

pub use plan::Plan;
pub use report::Report;
pub use run::run;
