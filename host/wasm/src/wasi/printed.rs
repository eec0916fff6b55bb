//! What guests print, in the log.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use bytes::Bytes;
use edgewit_chain::Prints;
use edgewit_model::PluginName;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::capability::Shared;

/// Standard output and error of a guest, in the log at level `debug`.
pub(super) struct LogStream(pub(super) Arc<Printed>);

/// What a guest may still print in this request.
pub(super) struct Printed {
    plugin: PluginName,
    shared: Option<Arc<Shared>>,
    writes: AtomicU32,
    bytes: AtomicU32,
}

/// For one request: a panic with its backtrace, not a protocol.
pub(crate) const PRINTS: Prints = Prints { writes: 64, bytes: 16 << 10 };

impl Printed {
    pub(super) fn new(
        plugin: PluginName,
        shared: Option<Arc<Shared>>,
        Prints { writes, bytes }: Prints,
    ) -> Self {
        Self { plugin, shared, writes: writes.into(), bytes: bytes.into() }
    }

    pub(super) fn allow(&self, Prints { writes, bytes }: Prints) {
        self.writes.store(writes, Relaxed);
        self.bytes.store(bytes, Relaxed);
    }

    pub(super) fn left(&self) -> Prints {
        Prints { writes: self.writes.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }

    fn write(&self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let left = self.writes.load(Relaxed).checked_sub(1);
        let room = self.bytes.load(Relaxed).checked_sub(length);
        let (Some(writes), Some(room)) = (left, room) else {
            if let Some(shared) = &self.shared {
                shared.metrics.drop_log_line();
            }
            return;
        };
        self.writes.store(writes, Relaxed);
        self.bytes.store(room, Relaxed);
        if tracing::enabled!(target: "edgewit::plugin", tracing::Level::DEBUG) {
            let text = crate::capability::clean(&String::from_utf8_lossy(bytes));
            let (plugin, shared) = (self.plugin.as_str(), self.shared.as_ref());
            let route = shared.map_or("", |shared| shared.route());
            tracing::debug!(target: "edgewit::plugin", plugin, route, "{text}");
        }
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LogStream(Arc::clone(&self.0)))
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(4 << 10)
    }
}
