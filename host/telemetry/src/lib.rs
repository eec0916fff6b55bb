//! What happened? Metrics, the access log and the log.
//!
//! Whoever counts holds a handle ([`Counter`], [`Histogram`], ...) that it got from [`Metrics`] when its part of the
//! configuration was built; on the way of a request nothing is looked up by name. Nothing here decides anything.
//! Start reading at [`Metrics`].

mod metrics;

mod refresh;

pub mod families;

mod cells;

mod worker;

mod requests;

mod usage;

mod plugin_metrics;

mod access_log;

mod log;

pub use access_log::{AccessLog, FilterLine, Line};
pub use families::Family;
pub use log::{Log, LogError};
pub use metrics::{Counter, Gauge, Histogram, Info, METRICS_CONTENT_TYPE, Metrics, UpDown};
pub use plugin_metrics::{PluginMetrics, PluginSeries};
pub use refresh::Refresh;
pub use requests::{Answered, RequestSeries};
pub use usage::{PluginUsage, Spread, Stops, Usage};
pub use worker::enter_worker;
