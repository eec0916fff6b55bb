//! One line for each request, off the request's time.

mod line;

mod time;

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use edgewit_model::{AccessLogFormat, LogTarget};

use crate::{
    families,
    metrics::{Counter, Metrics},
    worker,
};

/// One line for each request. Workers write into buffers of their own; a thread takes them to the target.
///
/// If the target is too slow, lines are dropped and counted: a full disk must not stop traffic. Dropping the log writes
/// what is left.
#[derive(Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    shared: Arc<Shared>,
    sender: Option<SyncSender<Chunk>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    buffers: Box<[Mutex<Chunk>]>,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    lines: u64,
}

/// What a line says about a request.
#[derive(Debug)]
pub struct Line<'a> {
    /// When its head had come.
    pub time: SystemTime,
    /// Identifier of the request.
    pub request_id: &'a str,
    /// Identifier of its trace, 32 hexadecimal digits.
    pub trace_id: &'a str,
    /// Listener it came in on.
    pub listener: &'a str,
    /// Address of the client.
    pub client: IpAddr,
    /// Who it is, if a filter said so.
    pub subject: Option<&'a str>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// Method.
    pub method: &'a str,
    /// Host and port.
    pub authority: &'a str,
    /// Path, without the query, which may hold secrets.
    pub path: &'a str,
    /// What the client says it is.
    pub user_agent: Option<&'a [u8]>,
    /// Status; 0 if no head went out.
    pub status: u16,
    /// How it ended: `complete`, `client-gone`, `upstream-cut`, `host-cut`.
    pub ending: &'static str,
    /// Short word for what went wrong.
    pub error: Option<&'a str>,
    /// From the end of the request's head to the end of the response.
    pub duration: Duration,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// Route that won.
    pub route: Option<&'a str>,
    /// Upstream that was asked last.
    pub upstream: Option<&'a str>,
    /// Attempts at upstreams.
    pub tries: u32,
    /// Filters that were asked.
    pub filters: Vec<FilterLine<'a>>,
    /// Whom the client's certificate names, if it showed one.
    pub client_identity: Option<&'a str>,
}

/// What a line says about a filter.
#[derive(Debug)]
pub struct FilterLine<'a> {
    /// Name of the plugin.
    pub name: &'a str,
    /// Time of all its calls in microseconds.
    pub us: u64,
    /// Fuel of all its calls.
    pub fuel: u64,
    /// How its last call ended.
    pub outcome: &'static str,
}

/// Bytes that a worker collects before it hands them over: some hundred lines.
const CHUNK: usize = 64 << 10;
/// Room for the line that fills a chunk.
const BEYOND: usize = 4 << 10;
/// Chunks that wait for the target: 16 MiB.
const QUEUE: usize = 256;
/// Lines wait at most this long.
const FLUSH: Duration = Duration::from_millis(500);

impl AccessLog {
    /// Opens the target and starts the thread that writes to it.
    pub fn open(config: &edgewit_model::AccessLog, metrics: &Metrics) -> io::Result<Self> {
        let target: Box<dyn Write + Send> = match &config.target {
            LogTarget::Stdout => Box::new(io::stdout()),
            LogTarget::File(path) => {
                Box::new(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        Self::start(config.format, target, metrics, FLUSH)
    }

    fn start(
        format: AccessLogFormat,
        target: Box<dyn Write + Send>,
        metrics: &Metrics,
        flush: Duration,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            buffers: (0..metrics.shards()).map(|_| Mutex::default()).collect(),
            dropped: metrics.counter(&families::ACCESS_LOG_DROPPED, &[]),
        });
        let (sender, receiver) = sync_channel(QUEUE);
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(&for_writer, &receiver, target, flush))?;
        Ok(Self { format, shared, sender: Some(sender), writer: Some(writer) })
    }

    /// Writes a line into the buffer of this worker.
    pub fn write(&self, line: &Line<'_>) {
        let buffers = &self.shared.buffers;
        let Some(buffer) = buffers.get(worker::shard()).or(buffers.first()) else { return };
        let mut chunk = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if chunk.bytes.capacity() == 0 {
            chunk.bytes.reserve_exact(CHUNK + BEYOND); // once, instead of step by step with a copy for each
        }
        line::format(self.format, line, &mut chunk.bytes);
        chunk.lines += 1;
        if chunk.bytes.len() >= CHUNK {
            let full = std::mem::take(&mut *chunk);
            drop(chunk);
            self.hand_over(full);
        }
    }

    fn hand_over(&self, chunk: Chunk) {
        let Some(sender) = &self.sender else { return };
        match sender.try_send(chunk) {
            Ok(()) => {}
            Err(TrySendError::Full(chunk) | TrySendError::Disconnected(chunk)) => {
                self.shared.dropped.add(chunk.lines);
            }
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.sender = None; // the thread writes what is left and ends
        let writer = self.writer.take();
        // A worker that drops the last generation with this log has requests to serve and does not wait.
        if let Some(writer) = writer.filter(|_| worker::shard() == 0) {
            let _ = writer.join();
        }
    }
}

fn write_all(
    shared: &Shared,
    chunks: &Receiver<Chunk>,
    mut target: Box<dyn Write + Send>,
    flush: Duration,
) {
    loop {
        let last = match chunks.recv_timeout(flush) {
            Ok(chunk) => {
                put(shared, &mut target, &chunk);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        for buffer in &shared.buffers {
            let chunk = std::mem::take(&mut *buffer.lock().unwrap_or_else(PoisonError::into_inner));
            if chunk.lines > 0 {
                put(shared, &mut target, &chunk);
            }
        }
        if last {
            return;
        }
    }
}

fn put(shared: &Shared, target: &mut Box<dyn Write + Send>, chunk: &Chunk) {
    if target.write_all(&chunk.bytes).and_then(|()| target.flush()).is_err() {
        shared.dropped.add(chunk.lines);
    }
}

#[cfg(test)]
mod tests;
