//! A thread that serves connections from their begin to their end.

use std::{
    collections::HashMap,
    io,
    net::TcpListener as StdListener,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use edgewit_upstream::Pools;
use tokio::{
    net::TcpListener,
    runtime::{Builder, LocalOptions, LocalRuntime},
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    task::spawn_local,
};

use crate::{
    afterwards::Afterwards,
    away::Away,
    listen::{ListenerId, LiveListener, accept_all},
    proxy::Shared,
    turns,
};

/// A thread with an event loop of its own. A connection stays on the thread that accepted it, with its requests, its
/// filters' instances and its upstream connections, so nothing on the way of a request is locked or sent.
#[derive(Debug)]
pub(crate) struct Worker {
    commands: Option<UnboundedSender<Command>>,
    unfinished: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// What a worker is told.
pub(crate) enum Command {
    /// Accept connections.
    Accept(Arc<LiveListener>, StdListener),
    /// Accept no more from this listener, finish what runs on its connections.
    Close(ListenerId),
    /// The same for all listeners.
    Drain,
    /// Do this on the worker's own thread.
    Call(fn()),
}

/// What the tasks of one worker share.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pools: Pools,
    pub(crate) afterwards: Rc<Afterwards>,
    pub(crate) away: Rc<Away>,
}

/// A listener on this worker. Dropping the sender stops it.
struct Accepting {
    stop: watch::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(index: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let (commands, receiver) = unbounded_channel();
        let unfinished = Arc::new(AtomicUsize::new(0));
        let of_thread = Arc::clone(&unfinished);
        let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
        let run = move || match event_loop() {
            Ok(runtime) => {
                let _ = begun.send(Ok(()));
                run(index, shared, runtime, receiver, &of_thread);
            }
            Err(error) => drop(begun.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
        // An event loop belongs to its thread from the start; only that thread knows whether there is one.
        has_begun.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(Self { commands: Some(commands), unfinished, thread: Some(thread) })
    }

    pub(crate) fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            self.unfinished.fetch_add(1, Ordering::AcqRel);
            let _ = commands.send(command);
        }
    }

    /// Tells it to end; dropping it waits for that.
    pub(crate) fn end(&mut self) {
        self.commands = None;
    }

    /// Commands that are not carried out to their end.
    pub(crate) fn busy(&self) -> usize {
        self.unfinished.load(Ordering::Acquire)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Its tasks stay on this thread, so that waking one is a push to a queue.
fn event_loop() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

fn run(
    index: usize,
    shared: Arc<Shared>,
    runtime: LocalRuntime,
    commands: UnboundedReceiver<Command>,
    unfinished: &AtomicUsize,
) {
    edgewit_telemetry::enter_worker(index);
    turns::shorten();
    let afterwards = Rc::new(Afterwards::default());
    let away = Away::new(Arc::clone(&shared.lane));
    let context = Rc::new(Context {
        shared,
        pools: Pools::new(),
        afterwards: Rc::clone(&afterwards),
        away: Rc::clone(&away),
    });
    runtime.block_on(obey(&context, commands, unfinished));
    drop(context);
    drop(runtime); // cuts what still runs
    // Filters are told of the last requests; what they ask of WASI looks for an event loop, which never runs.
    let last = event_loop();
    let _entered = last.as_ref().map(LocalRuntime::enter);
    away.finish();
    afterwards.finish();
}

async fn obey(
    context: &Rc<Context>,
    mut commands: UnboundedReceiver<Command>,
    unfinished: &AtomicUsize,
) {
    let after = Rc::clone(&context.afterwards);
    spawn_local(async move { after.work().await });
    let away = Rc::clone(&context.away);
    spawn_local(async move { away.work().await });
    let mut listeners: HashMap<ListenerId, Accepting> = HashMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Accept(listener, socket) => {
                let id = listener.id;
                match TcpListener::from_std(socket) {
                    Ok(socket) => drop(listeners.insert(id, accept(context, listener, socket))),
                    Err(error) => {
                        tracing::error!(address = %listener.address, %error, "could not accept");
                    }
                }
            }
            Command::Close(id) => stop(listeners.remove(&id)).await,
            Command::Call(call) => call(),
            Command::Drain => stop(listeners.drain().map(|(_, accepting)| accepting)).await,
        }
        unfinished.fetch_sub(1, Ordering::AcqRel);
    }
}

fn accept(context: &Rc<Context>, listener: Arc<LiveListener>, socket: TcpListener) -> Accepting {
    let (stop, stopped) = watch::channel(());
    let task = spawn_local(accept_all(listener, socket, stopped, Rc::clone(context)));
    Accepting { stop, task }
}

/// Stops listeners and waits until they have taken what the kernel had accepted.
async fn stop(listeners: impl IntoIterator<Item = Accepting>) {
    let stopped: Vec<_> = listeners
        .into_iter()
        .map(|Accepting { stop, task }| {
            drop(stop);
            task
        })
        .collect();
    for task in stopped {
        let _ = task.await;
    }
}
