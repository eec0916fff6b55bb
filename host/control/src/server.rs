//! The running whole: proxy, administration, watching. What the binary starts and tests use in their own process.

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZero,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use edgewit_config::{Memo, Report};
use edgewit_model::{Config, ListenerName};
use edgewit_proxy::{Adopted, Bound, Proxy};
use edgewit_telemetry::{Log, Metrics};
use edgewit_wasm::{Compiler, Runtime, Settings};
use tokio::{
    sync::{mpsc, watch as channel},
    task::{AbortHandle, JoinSet},
};

use crate::{
    admin::{Admin, Carry, Largest, Pages},
    cache_dir::CacheDir,
    certificates,
    gauges::Gauges,
    health,
    live::{ChangeError, Changed, Live, Parts, StartError},
    source::{Overrides, Read, Source},
    status::{Status, StatusView, Times},
    stops,
    summary::Summary,
    versions::Versions,
    watch::{self, ConfigFiles, Sight, Watched},
    watchman::Watchman,
};

/// A checked configuration that can be started.
pub struct Server {
    source: Source,
    options: Options,
    read: Read,
    memo: Memo,
    files: Option<ConfigFiles>,
    begun: Instant,
}

/// How a server is started.
#[derive(Debug, Default)]
pub struct Options {
    /// What the command line says in the place of the file.
    pub overrides: Overrides,
    /// Reload when the configuration's files change.
    pub watch_config: bool,
    /// Where components are compiled; `None`: in a child process of this program, by its subcommand `compile-worker`.
    pub compiler: Option<Compiler>,
    /// Sockets that were open before: of systemd, or of the process whose place this one takes.
    pub adopted: Vec<Adopted>,
    /// The socket of administration, from the process whose place this one takes. Used if it has the right address.
    pub admin: Option<TcpListener>,
    /// Called after each change, by the thread that made it, and every two seconds: gives memory back that is not needed any
    /// more, in a way that only whoever chose the allocator knows.
    pub give_back: Option<fn()>,
}

/// Changes that wait for the one before them: while one is made live, nobody looks for the next, so that the next look sees
/// the latest state and not every step to it.
const SIGHTS: usize = 1;

impl Server {
    /// Reads and checks the configuration.
    pub fn load(source: Source, options: Options) -> Result<Self, Report> {
        let begun = Instant::now();
        let mut memo = Memo::default();
        let watch = options.watch_config;
        let (read, files) = source.read_for(&options.overrides, &mut memo, watch, None);
        Ok(Self { read: read?, source, options, memo, files, begun })
    }

    /// What will be started.
    pub fn config(&self) -> &Config {
        &self.read.config
    }

    /// What is allowed, but probably not meant.
    pub fn warnings(&self) -> Report {
        self.read.warnings()
    }

    /// Loads plugins, starts workers and listens. `log`: its level follows the configuration from now on.
    pub async fn start(mut self, log: Option<Log>) -> Result<Running, StartError> {
        let admin = match &self.read.config.admin {
            Some(admin) => {
                let address = admin.listen;
                let failed = |source| StartError::Admin { address, source };
                Some(Admin::bind(address, self.options.admin.take()).map_err(failed)?)
            }
            None => None,
        };
        let started = tokio::task::spawn_blocking(move || self.start_blocking(log)).await;
        let (live, summary) = started.map_err(|_| StartError::Fault)??;
        Ok(Running::new(live, summary, admin))
    }

    fn start_blocking(self, log: Option<Log>) -> Result<(Live, Summary), StartError> {
        let Server { source, options, read, memo, files, begun } = self;
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = read.config.server.workers.unwrap_or_else(cores).max(1);
        let metrics = Metrics::new(workers);
        let cache = CacheDir::new(&read.config).map_err(StartError::Folder)?;
        let runtime = Runtime::new(Settings {
            compiler: options.compiler.unwrap_or_else(own_program),
            cache_dir: cache.path(),
            metrics: Arc::clone(metrics.plugins()),
            instances: read.config.server.instances,
        })?;
        let status = Arc::new(Status::new(source.path().map(Into::into), &metrics));
        let parts = Parts {
            status: Arc::clone(&status),
            source,
            overrides: options.overrides,
            memo,
            watch_config: options.watch_config,
            runtime,
            _cache: cache,
            gauges: Gauges::new(&metrics),
            on_probation: Arc::default(),
            watchman: Watchman::new(&metrics, Some(Arc::clone(&status))),
            metrics,
            versions: Arc::new(Versions::default()),
            log,
            give_back: options.give_back.unwrap_or(|| {}),
        };
        let give_back = parts.give_back;
        let started = Live::start(parts, (read, files), workers, options.adopted, begun);
        give_back();
        started
    }
}

/// The program that is running, even if its file has been replaced since.
pub(crate) fn own_program() -> Compiler {
    let link = PathBuf::from("/proc/self/exe");
    let program = if link.exists() { link } else { std::env::current_exe().unwrap_or_default() };
    Compiler::Child { program, args: vec!["compile-worker".into()] }
}

/// A running server. Dropping it stops it at once; [`Running::drain`] lets requests finish.
pub struct Running {
    live: Arc<Mutex<Live>>,
    proxy: Arc<Proxy>,
    status: Arc<Status>,
    versions: Arc<Versions>,
    metrics: Arc<Metrics>,
    admin: Option<SocketAddr>,
    summary: Summary,
    /// Ends administration.
    admin_task: Option<AbortHandle>,
    /// The socket of administration, to be handed over.
    admin_socket: Option<TcpListener>,
    /// Administration and watching; dropping it ends them.
    _tasks: JoinSet<()>,
}

impl Running {
    fn new(live: Live, summary: Summary, admin: Option<Admin>) -> Self {
        let proxy = Arc::clone(live.proxy());
        let parts = live.parts();
        let (status, versions) = (Arc::clone(&parts.status), Arc::clone(&parts.versions));
        let metrics = Arc::clone(&parts.metrics);
        let measure = parts.measure();
        let (on_probation, give_back) = (Arc::clone(&parts.on_probation), parts.give_back);
        let (watched, watched_too) = (live.watched(), live.watched());
        let live = Arc::new(Mutex::new(live));
        let mut tasks = JoinSet::new();
        let (sender, sights) = mpsc::channel(SIGHTS);
        tasks.spawn(watch::watch(watched, sender));
        tasks.spawn(follow(Arc::clone(&live), sights));
        tasks.spawn(certificates::renew(Arc::downgrade(&proxy), Arc::clone(&status)));
        tasks.spawn(judge(Arc::clone(&live), on_probation));
        tasks.spawn(stops::tell(Arc::clone(&metrics), Arc::clone(&status)));
        tasks.spawn(health::tell(Arc::downgrade(&proxy), Arc::clone(&status)));
        tasks.spawn(tidy(Arc::downgrade(&proxy), give_back));
        let address = admin.as_ref().map(Admin::address);
        status.set_admin(address);
        let (mut admin_task, mut admin_socket) = (None, None);
        if let Some(admin) = admin {
            let (status, versions) = (Arc::clone(&status), Arc::clone(&versions));
            let (largest, carry) = (largest(watched_too), carry(&live));
            let pages = Pages::new(Arc::clone(&metrics), status, versions, measure, largest, carry);
            admin_socket = admin.socket().ok();
            admin_task = Some(tasks.spawn(admin.serve(pages)));
        }
        Self {
            live,
            proxy,
            status,
            versions,
            metrics,
            admin: address,
            summary,
            admin_task,
            admin_socket,
            _tasks: tasks,
        }
    }

    /// The sockets of all listeners with the names of those, for the process that takes the place of this one.
    pub fn sockets(&self) -> std::io::Result<Vec<Adopted>> {
        self.proxy.sockets()
    }

    /// The socket of administration, for the same.
    pub fn admin_socket(&self) -> std::io::Result<Option<TcpListener>> {
        self.admin_socket.as_ref().map(TcpListener::try_clone).transpose()
    }

    /// How long that process may take until it serves.
    pub fn upgrade_timeout(&self) -> Duration {
        self.status.times().upgrade
    }

    /// Tells whoever asks about an upgrade.
    pub fn tell_upgrade(&self, message: &str) {
        self.status.event("upgrade", message);
    }

    /// Another process serves on the same sockets: accepts no more at once, and lets requests finish. Returns the number of
    /// connections that were still open when the time was over.
    pub async fn step_down(&self) -> usize {
        if let Some(task) = &self.admin_task {
            task.abort(); // the other one answers now
        }
        let timeout = self.status.drain().timeout;
        self.proxy.drain(Duration::ZERO, timeout).await
    }

    /// Where clients connect, with the ports that were taken.
    pub fn bound(&self) -> Vec<Bound> {
        self.proxy.bound()
    }

    /// The address of one listener.
    pub fn address(&self, listener: &ListenerName) -> Option<SocketAddr> {
        self.bound().into_iter().find(|b| b.listener == *listener).map(|b| b.address)
    }

    /// The address of the administration endpoint.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What the start has brought.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How things are.
    pub fn status(&self) -> StatusView {
        self.status.view()
    }

    /// The versions of all plugins.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Everything that is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Reads the configuration and all plugins anew and makes them live, or changes nothing.
    pub async fn reload(&self) -> Result<Changed, ChangeError> {
        reload(&self.live).await
    }

    /// Says that it wants no more traffic, keeps accepting for a while, then lets requests finish. Returns the number of
    /// connections that were still open when the time was over.
    pub async fn drain(&self) -> usize {
        let Times { delay, timeout, .. } = self.status.drain();
        tracing::info!(?delay, ?timeout, "draining");
        self.proxy.drain(delay, timeout).await
    }
}

/// Between two times that memory is given back which requests have left.
const TIDY: Duration = Duration::from_secs(2);

/// Every thread gives back what is its own, since nobody else can do it for it: workers while they have nothing to do, this
/// one, and one of those for blocking work. Others of these end soon after their last work.
async fn tidy(proxy: Weak<Proxy>, give_back: fn()) {
    while let Some(proxy) = proxy.upgrade() {
        proxy.call_if_idle(give_back);
        drop(proxy);
        give_back();
        tokio::time::sleep(TIDY).await;
        if tokio::task::spawn_blocking(give_back).await.is_err() {
            tracing::error!("giving memory back has met a fault");
        }
    }
}

/// Between two looks at versions that are on probation.
const LOOK: Duration = Duration::from_millis(250);

async fn judge(live: Arc<Mutex<Live>>, on_probation: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if on_probation.load(Ordering::Relaxed)
            && blocking(&live, Live::judge_probations).await.is_none()
        {
            tracing::error!("judging a new version has met a fault, what served serves on");
        }
    }
}

async fn follow(live: Arc<Mutex<Live>>, mut sights: mpsc::Receiver<Sight>) {
    while let Some(sight) = sights.recv().await {
        match sight {
            Sight::Plugins(changes) => {
                let changes = blocking(&live, |live| live.by_urgency(changes)).await;
                // One by one: neither a bad one nor a fault of ours holds up the others.
                for change in changes.into_iter().flatten() {
                    if blocking(&live, |live| live.plugin_changed(change)).await.is_none() {
                        tracing::error!(
                            "taking in a plugin has met a fault, what served serves on"
                        );
                    }
                }
            }
            Sight::Config => drop(reload(&live).await), // told already
        }
    }
}

/// Bytes that a component of a plugin may have, under the configuration that serves.
fn largest(watched: channel::Receiver<Watched>) -> Box<Largest> {
    Box::new(move |name| {
        let wanted = &watched.borrow().plugins;
        wanted.declared.get(name).map_or(wanted.file_size, |wish| wish.limit).0
    })
}

/// Commands take their turn with everything else that changes something.
fn carry(live: &Arc<Mutex<Live>>) -> Box<Carry> {
    let live = Arc::clone(live);
    Box::new(move |command| {
        let live = Arc::clone(&live);
        Box::pin(async move {
            let done = blocking(&live, |live| live.command(command)).await;
            done.unwrap_or_else(|| {
                tracing::error!("a command has met a fault, what served serves on");
                Err(ChangeError::Fault.into())
            })
        })
    })
}

async fn reload(live: &Arc<Mutex<Live>>) -> Result<Changed, ChangeError> {
    match blocking(live, Live::reload).await {
        Some(result) => result,
        None => {
            tracing::error!("a reload has met a fault, what served serves on");
            Err(ChangeError::Fault)
        }
    }
}

/// One change at a time, off the threads that wait for sockets. `None`: it panicked. A change is made of new parts that
/// replace the old ones at its very end, so that what is behind the lock is whole even then.
async fn blocking<T: Send + 'static>(
    live: &Arc<Mutex<Live>>,
    change: impl FnOnce(&mut Live) -> T + Send + 'static,
) -> Option<T> {
    let live = Arc::clone(live);
    let work = move || {
        let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
        let done = change(&mut live);
        let give_back = live.parts().give_back;
        drop(live);
        give_back();
        done
    };
    tokio::task::spawn_blocking(work).await.ok()
}

#[cfg(test)]
mod faults;

#[cfg(test)]
mod tests;
