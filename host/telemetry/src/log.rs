//! The log of the host, to standard error.

use std::io::{self, IsTerminal};

use edgewit_model::{LogFormat, Telemetry};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// The running log; its level can be changed.
#[derive(Debug)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directives are wrong.
    #[error("`{directives}` is no log level")]
    Directives {
        /// As they are in the configuration.
        directives: String,
        /// What is wrong with them.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody else has set one.
    #[error("the process has a log already")]
    Taken,
}

/// Where the configuration says nothing.
const DEFAULT_LEVEL: &str = "info";

impl Log {
    /// Sets the log of this process, once.
    pub fn init(config: &Telemetry) -> Result<Self, LogError> {
        let (filter, handle) = reload::Layer::new(directives(config)?);
        let json = match config.log_format {
            LogFormat::Auto => !io::stderr().is_terminal(),
            LogFormat::Text => false,
            LogFormat::Json => true,
        };
        let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let layer = if json {
            layer.json().flatten_event(true).boxed()
        } else {
            layer.with_ansi(io::stderr().is_terminal()).boxed()
        };
        let subscriber = tracing_subscriber::registry().with(filter).with(layer);
        subscriber.try_init().map_err(|_| LogError::Taken)?;
        Ok(Self { filter: handle })
    }

    /// Takes the level of another configuration. The format stays what it was at the start.
    pub fn reload(&self, config: &Telemetry) -> Result<(), LogError> {
        let filter = directives(config)?;
        self.filter.reload(filter).map_err(|_| LogError::Taken)
    }
}

fn directives(config: &Telemetry) -> Result<EnvFilter, LogError> {
    let text = config.log_level.as_deref().unwrap_or(DEFAULT_LEVEL);
    EnvFilter::try_new(text)
        .map_err(|source| LogError::Directives { directives: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_checked_before_it_is_taken() {
        let config =
            |level: &str| Telemetry { log_level: Some(level.into()), ..Telemetry::default() };
        for good in ["info", "info,edgewit_wasm=debug", "off"] {
            assert!(directives(&config(good)).is_ok(), "{good}");
        }
        assert!(matches!(directives(&config("a=b=c")), Err(LogError::Directives { .. })));
        assert!(directives(&Telemetry::default()).is_ok());
    }
}
