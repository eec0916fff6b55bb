//! WASI as far as language runtimes need it to start, and nothing more.
//!
//! Linked are wasmtime-wasi's clocks (in whole milliseconds), random, environment (empty), exit, standard streams
//! (output goes into the log) and their io. Nothing waits: an operation that would is a trap, which keeps every call
//! synchronous. Files, sockets and whatever else a component imports below `wasi:` are defined as traps, except
//! that there are no preopened directories, which is what runtimes ask for when they start.

mod printed;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use edgewit_chain::Prints;
use edgewit_model::PluginName;
use wasmtime::component::{
    Component, HasData, Linker, Resource, ResourceTable, ResourceType, types::ComponentItem,
};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView,
    cli::{WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    p2::{
        DynPollable, StreamError, StreamResult,
        bindings::{
            self,
            io::{poll as async_poll, streams as async_streams},
            sync::io::{poll, streams},
        },
    },
    random::WasiRandom,
};

use crate::{
    capability::{Shared, clock, random},
    state::State,
};

pub(crate) use printed::PRINTS;
use printed::{LogStream, Printed};

/// What a guest of WASI has: nothing but its own handles.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    printed: Arc<Printed>,
}

/// Handles of WASI for each instance.
const MAX_HANDLES: usize = 1_000;

impl Wasi {
    fn new(plugin: &PluginName, shared: Option<Arc<Shared>>, prints: Prints) -> Self {
        let printed = Arc::new(Printed::new(plugin.clone(), shared, prints));
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let mut ctx = WasiCtx::builder();
        ctx.stdout(LogStream(Arc::clone(&printed)))
            .stderr(LogStream(Arc::clone(&printed)))
            .wall_clock(CoarseClock)
            .monotonic_clock(CoarseClock)
            .max_random_size(random::MAX_BYTES.into())
            .allow_tcp(false)
            .allow_udp(false);
        Self { ctx: ctx.build(), table, printed }
    }

    /// What may be printed from now on.
    pub(crate) fn allow(&self, prints: Prints) {
        self.printed.allow(prints);
    }

    /// What may still be printed.
    pub(crate) fn prints_left(&self) -> Prints {
        self.printed.left()
    }
}

impl State {
    fn wasi(&mut self) -> &mut Wasi {
        let prints = self.allowance.prints;
        let new = || Box::new(Wasi::new(&self.plugin, self.shared.clone(), prints));
        self.wasi.get_or_insert_with(new)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

/// Links what is allowed.
pub(crate) fn link(l: &mut Linker<State>) -> wasmtime::Result<()> {
    use bindings::{cli, clocks, random};
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(l, State::clocks)?;
    random::random::add_to_linker::<_, WasiRandom>(l, |s| s.wasi().ctx.random())?;
    random::insecure::add_to_linker::<_, WasiRandom>(l, |s| s.wasi().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |s| s.wasi().ctx.random())?;
    cli::environment::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    bindings::io::error::add_to_linker::<_, Io>(l, |s| &mut s.wasi().table)?;
    poll::add_to_linker::<_, NoWait>(l, |s| Ready(&mut s.wasi().table))?;
    streams::add_to_linker::<_, NoWait>(l, |s| Ready(&mut s.wasi().table))
}

/// Interfaces that [`link`] links, whatever their version.
const LINKED: [&str; 18] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// The handle of something that nobody can have.
struct Denied;

/// Defines whatever else a component imports below `wasi:`, so that it can start; calling it is a trap. The one exception
/// is the question which directories there are: none.
pub(crate) fn deny_the_rest(
    linker: &mut Linker<State>,
    component: &Component,
) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    for (name, import) in component.component_type().imports(&engine) {
        let interface = name.split('@').next().unwrap_or(name);
        if !interface.starts_with("wasi:") || LINKED.contains(&interface) {
            continue;
        }
        let ComponentItem::ComponentInstance(items) = import.ty else { continue };
        let mut instance = linker.instance(name)?;
        for (item, what) in items.exports(&engine) {
            match what.ty {
                ComponentItem::ComponentFunc(_) if item == "get-directories" => {
                    let none = || (Vec::<(Resource<Denied>, String)>::new(),);
                    instance.func_wrap(item, move |_, (): ()| Ok(none()))?;
                }
                ComponentItem::ComponentFunc(_) => {
                    let text = format!("filters cannot use `{name}#{item}`");
                    instance.func_new(item, move |_, _, _, _| {
                        Err(wasmtime::Error::msg(text.clone()))
                    })?;
                }
                ComponentItem::Resource(_) => {
                    instance.resource(item, resource(item), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The type behind a resource that a denied interface names: one of `wasi:io` that it shares, or nothing.
fn resource(name: &str) -> ResourceType {
    match name {
        "input-stream" => ResourceType::host::<streams::InputStream>(),
        "output-stream" => ResourceType::host::<streams::OutputStream>(),
        "pollable" => ResourceType::host::<DynPollable>(),
        "error" => ResourceType::host::<bindings::io::error::Error>(),
        _ => ResourceType::host::<Denied>(),
    }
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

struct NoWait;

impl HasData for NoWait {
    type Data<'a> = Ready<'a>;
}

/// The table of handles behind operations that must be ready at once.
struct Ready<'a>(&'a mut ResourceTable);

/// Runs what wasmtime-wasi wrote as a future but what never waits here. One that would wait is a trap: a filter that
/// sleeps would hold its worker.
fn now<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(wasmtime::Error::msg("filters cannot wait in WASI")),
    }
}

fn now_stream<T>(future: impl Future<Output = StreamResult<T>>) -> StreamResult<T> {
    now(future).map_err(StreamError::Trap)?
}

impl poll::Host for Ready<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        now(async_poll::Host::poll(self.0, pollables))?
    }
}

impl poll::HostPollable for Ready<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        now(async_poll::HostPollable::ready(self.0, pollable))?
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        now(async_poll::HostPollable::block(self.0, pollable))?
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        async_poll::HostPollable::drop(self.0, pollable)
    }
}

type In = Resource<streams::InputStream>;
type Out = Resource<streams::OutputStream>;

impl streams::Host for Ready<'_> {
    fn convert_stream_error(&mut self, e: StreamError) -> wasmtime::Result<streams::StreamError> {
        streams::Host::convert_stream_error(self.0, e)
    }
}

impl streams::HostInputStream for Ready<'_> {
    fn read(&mut self, stream: In, len: u64) -> StreamResult<Vec<u8>> {
        async_streams::HostInputStream::read(self.0, stream, len)
    }

    fn blocking_read(&mut self, stream: In, len: u64) -> StreamResult<Vec<u8>> {
        now_stream(async_streams::HostInputStream::blocking_read(self.0, stream, len))
    }

    fn skip(&mut self, stream: In, len: u64) -> StreamResult<u64> {
        async_streams::HostInputStream::skip(self.0, stream, len)
    }

    fn blocking_skip(&mut self, stream: In, len: u64) -> StreamResult<u64> {
        now_stream(async_streams::HostInputStream::blocking_skip(self.0, stream, len))
    }

    fn subscribe(&mut self, stream: In) -> wasmtime::Result<Resource<DynPollable>> {
        async_streams::HostInputStream::subscribe(self.0, stream)
    }

    fn drop(&mut self, stream: In) -> wasmtime::Result<()> {
        now(async_streams::HostInputStream::drop(self.0, stream))?
    }
}

impl streams::HostOutputStream for Ready<'_> {
    fn check_write(&mut self, stream: Out) -> StreamResult<u64> {
        async_streams::HostOutputStream::check_write(self.0, stream)
    }

    fn write(&mut self, stream: Out, bytes: Vec<u8>) -> StreamResult<()> {
        async_streams::HostOutputStream::write(self.0, stream, bytes)
    }

    fn blocking_write_and_flush(&mut self, stream: Out, bytes: Vec<u8>) -> StreamResult<()> {
        now_stream(async_streams::HostOutputStream::blocking_write_and_flush(self.0, stream, bytes))
    }

    fn flush(&mut self, stream: Out) -> StreamResult<()> {
        async_streams::HostOutputStream::flush(self.0, stream)
    }

    fn blocking_flush(&mut self, stream: Out) -> StreamResult<()> {
        now_stream(async_streams::HostOutputStream::blocking_flush(self.0, stream))
    }

    fn subscribe(&mut self, stream: Out) -> wasmtime::Result<Resource<DynPollable>> {
        async_streams::HostOutputStream::subscribe(self.0, stream)
    }

    fn write_zeroes(&mut self, stream: Out, len: u64) -> StreamResult<()> {
        async_streams::HostOutputStream::write_zeroes(self.0, stream, len)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Out, len: u64) -> StreamResult<()> {
        now_stream(async_streams::HostOutputStream::blocking_write_zeroes_and_flush(
            self.0, stream, len,
        ))
    }

    fn splice(&mut self, stream: Out, from: In, len: u64) -> StreamResult<u64> {
        async_streams::HostOutputStream::splice(self.0, stream, from, len)
    }

    fn blocking_splice(&mut self, stream: Out, from: In, len: u64) -> StreamResult<u64> {
        now_stream(async_streams::HostOutputStream::blocking_splice(self.0, stream, from, len))
    }

    fn drop(&mut self, stream: Out) -> wasmtime::Result<()> {
        now(async_streams::HostOutputStream::drop(self.0, stream))?
    }
}

/// Time in whole milliseconds, like the capability `clock`.
struct CoarseClock;

impl HostWallClock for CoarseClock {
    fn resolution(&self) -> std::time::Duration {
        std::time::Duration::from_millis(1)
    }

    fn now(&self) -> std::time::Duration {
        std::time::Duration::from_millis(clock::wall_ms())
    }
}

impl HostMonotonicClock for CoarseClock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        clock::monotonic_ms().saturating_mul(1_000_000)
    }
}
