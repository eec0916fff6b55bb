//! The capability `log`: lines in the host's log, with plugin, route and request attached by the host.

use crate::host::log as host;

pub use crate::bindings::capabilities::edgewit::filter::log::Level;

/// Writes one line. At most 4 KiB of it are kept and at most 32 lines of one exchange; the rest is dropped and counted.
pub fn write(level: Level, message: impl AsRef<str>) {
    host::write(level, message.as_ref());
}

/// For whoever looks for one particular error.
pub fn trace(message: impl AsRef<str>) {
    write(Level::Trace, message);
}

/// For whoever develops or sets up.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message);
}

/// What happens now and then and is as it should be.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message);
}

/// Somebody should look at it one day.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message);
}

/// Somebody should look at it now.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message);
}
