//! `log`: lines in the host's log.

use tracing::Level;

use crate::{
    bindings::edgewit::filter::log::{Host, Level as Severity},
    state::State,
};

/// Bytes of a message that are kept.
const MAX_MESSAGE: usize = 4 << 10;

impl Host for State {
    fn write(&mut self, level: Severity, message: String) -> wasmtime::Result<()> {
        self.charge()?;
        // The budget of lines counts down to nothing; what comes after is dropped, and said so once.
        match self.allowance.log_lines {
            0 => {
                self.drop_line();
                return Ok(());
            }
            1 => {
                self.drop_line();
                self.line(Level::WARN, "further log lines of this exchange are dropped");
            }
            _ => {
                let level = match level {
                    Severity::Trace => Level::TRACE,
                    Severity::Debug => Level::DEBUG,
                    Severity::Info => Level::INFO,
                    Severity::Warn => Level::WARN,
                    Severity::Error => Level::ERROR,
                };
                self.line(level, &clean(&message));
            }
        }
        self.allowance.log_lines -= 1;
        Ok(())
    }
}

impl State {
    /// Counts a line that nobody will read.
    fn drop_line(&self) {
        if let Some(shared) = &self.shared {
            shared.metrics.drop_log_line();
        }
    }

    /// One line with what the host knows about it.
    pub(crate) fn line(&self, level: Level, message: &str) {
        let plugin = self.plugin.as_str();
        let (route, request_id) = match &self.exchange {
            Some(exchange) => (exchange.route.as_str(), exchange.request_id.as_ref()),
            None => (self.shared.as_ref().map_or("", |shared| shared.route()), ""),
        };
        macro_rules! line {
            ($($level:ident),*) => {
                match level {
                    $(Level::$level => tracing::event!(
                        target: "edgewit::plugin", Level::$level, plugin, route, request_id, "{message}"
                    ),)*
                }
            };
        }
        line!(TRACE, DEBUG, INFO, WARN, ERROR);
    }
}

/// Bounded and without control characters, so that a message is one line and no terminal obeys it.
pub(crate) fn clean(message: &str) -> String {
    let end = message.floor_char_boundary(MAX_MESSAGE);
    let mut out = String::with_capacity(end);
    for c in message.get(..end).unwrap_or_default().chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_one_short_line() {
        assert_eq!(clean("a\r\nb\u{1b}[31m"), "a\\r\\nb\\u{1b}[31m");
        assert_eq!(clean(&"\u{fc}".repeat(4_000)).len(), MAX_MESSAGE);
    }
}
