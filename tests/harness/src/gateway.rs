//! The running program.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Ask, Certs, Connection, Lines, Metrics, Protocol, Raw, Reply, Setup, artifact, block_on, get,
    program::Guard, until, wait::within,
};

/// How long a start may take: it compiles what is not in the cache, one after the other.
const START: Duration = Duration::from_secs(180);
/// A process without traffic has given back what it can when its memory has not shrunk for so long.
const SETTLED: Duration = Duration::from_secs(5);
/// However long that takes.
const SETTLE: Duration = Duration::from_secs(60);
/// Memory of a process at rest goes up and down by so many bytes.
const BREATH: u64 = 512 << 10;

/// The program in a process of its own, on free ports. Dropping it kills the process.
pub struct Gateway {
    child: Guard,
    /// The process that took its place.
    successor: Option<Successor>,
    setup: Setup,
    /// The host's log.
    pub log: Lines,
    /// The access log.
    pub access: Lines,
    listeners: BTreeMap<String, SocketAddr>,
    admin: SocketAddr,
}

impl Gateway {
    pub(crate) fn start(setup: Setup) -> Self {
        let mut command = setup.command();
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = Guard(child.expect("the program can be started"));
        let access = Lines::read(child.0.stdout.take().expect("it is piped"));
        let log = Lines::read(child.0.stderr.take().expect("it is piped"));
        let what = || format!("the gateway to be ready:\n{}", log.all().join("\n"));
        let ready = within(START, what, || {
            if let Some(status) = child.0.try_wait().expect("a child can be waited for") {
                panic!("the gateway ended with {status}:\n{}", log.all().join("\n"));
            }
            access.with(&[r#""event":"ready""#]).into_iter().next()
        });
        let ready: serde_json::Value = serde_json::from_str(&ready).expect("it is JSON");
        let listeners = ready["listeners"].as_object().expect("they are an object").iter();
        let listeners = listeners.map(|(name, url)| (name.clone(), address(url))).collect();
        let admin = address(&ready["admin"]);
        Self { child, successor: None, setup, log, access, listeners, admin }
    }

    /// The folder it runs in.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        *self.listeners.values().next().expect("there is a listener")
    }

    /// Where clients connect to a listener.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.listeners[name]
    }

    /// Where administration listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Asks over HTTP/1.1, on a connection of its own.
    #[track_caller]
    pub fn send(&self, ask: Ask) -> Reply {
        self.connect().send(ask)
    }

    /// Asks for a path.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send(get(path))
    }

    /// A connection that speaks HTTP/1.1.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address(), Protocol::H1)
    }

    /// A connection that speaks another protocol.
    pub fn connect_by(&self, protocol: Protocol) -> Connection {
        Connection::open(self.address(), protocol)
    }

    /// A TLS connection to a listener.
    pub fn connect_tls(&self, listener: &str, certs: &Certs, protocol: Protocol) -> Connection {
        block_on(Connection::open_tls(self.listener(listener), certs, protocol))
            .expect("a TLS connection can be opened")
    }

    /// A connection on which the test writes every byte.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.address())
    }

    /// Asks the administration.
    #[track_caller]
    pub fn ask_admin(&self, path: &str) -> Reply {
        Connection::open(self.admin, Protocol::H1).send(get(path))
    }

    /// A page of the administration, as JSON.
    #[track_caller]
    pub fn admin_json(&self, path: &str) -> serde_json::Value {
        self.ask_admin(path).json()
    }

    /// All metrics.
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.ask_admin("/metrics").text())
    }

    /// Number of the configuration that serves.
    pub fn generation(&self) -> u64 {
        self.admin_json("/v1/status")["generation"].as_u64().expect("a generation is a number")
    }

    /// Puts a guest into the plugin folder, by rename, as careful tools do.
    pub fn put_guest(&self, name: &str, plugin: &str) {
        self.put(&fs::read(artifact::guest(name)).expect("a guest can be read"), plugin);
    }

    /// Puts a component into the plugin folder, by rename.
    pub fn put(&self, component: &[u8], plugin: &str) {
        let file = self.setup.plugin(plugin);
        let aside = file.with_extension("aside");
        fs::write(&aside, component).expect("a file can be written");
        fs::rename(aside, file).expect("a file can be renamed");
    }

    /// Writes another configuration, with the same servers and listeners.
    pub fn write(&self, body: &str) {
        fs::write(self.setup.config(), self.setup.toml(body)).expect("a file can be written");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is ours");
    }

    /// The process that serves.
    pub fn pid(&self) -> Pid {
        self.successor.as_ref().map_or_else(|| Pid::from_child(&self.child.0), |s| s.0)
    }

    /// Has another process take the place of this one, and waits until it has and the old one is gone. The setup must have
    /// a file for the process id, named `pid`.
    pub fn upgrade(&mut self) {
        let before = self.pid();
        self.signal(Signal::USR2);
        let file = self.setup.path().join("pid");
        let now = until("another process to serve", || {
            let pid =
                fs::read_to_string(&file).ok()?.trim().parse().ok().and_then(Pid::from_raw)?;
            (pid != before).then_some(pid)
        });
        until("the old process to be gone", || {
            let _ = self.child.0.try_wait(); // it stays a process until somebody has asked
            (!Path::new("/proc").join(before.as_raw_nonzero().to_string()).exists()).then_some(())
        });
        self.successor = Some(Successor(now)); // ends the one before, so only now
    }

    /// Reloads, and waits for the generation that comes of it.
    pub fn reload(&self) -> u64 {
        let before = self.generation();
        self.signal(Signal::HUP);
        until("a new generation", || Some(self.generation()).filter(|now| *now > before))
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        until("the process to end", || self.child.0.try_wait().expect("a child can be waited for"))
    }

    /// Kills the process; gives back the folder it ran in.
    pub fn stop(self) -> Setup {
        self.setup
    }

    /// Has the process ended?
    pub fn has_ended(&mut self) -> bool {
        self.child.0.try_wait().expect("a child can be waited for").is_some()
    }

    /// Bytes of memory that the process has.
    pub fn memory(&self) -> u64 {
        let statm = fs::read_to_string(self.proc().join("statm")).expect("the process lives");
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        pages.unwrap_or(0_u64) * 4_096
    }

    /// As [`memory`](Self::memory), after there is no traffic any more and it had its time to give back what that took. While
    /// there is traffic, memory goes up and down by a quarter, so that two moments of it do not compare.
    pub fn memory_at_rest(&self) -> u64 {
        let begun = Instant::now();
        let (mut least, mut since) = (u64::MAX, begun);
        while since.elapsed() < SETTLED && begun.elapsed() < SETTLE {
            thread::sleep(Duration::from_millis(100));
            let memory = self.memory();
            if memory.saturating_add(BREATH) < least {
                (least, since) = (memory, Instant::now());
            }
        }
        self.memory()
    }

    /// Open files of the process.
    pub fn open_files(&self) -> usize {
        fs::read_dir(self.proc().join("fd")).expect("the process lives").count()
    }

    /// Threads of the process.
    pub fn threads(&self) -> usize {
        fs::read_dir(self.proc().join("task")).expect("the process lives").count()
    }

    /// Processes that it has started and that are still there, such as compilers.
    pub fn children(&self) -> Vec<Pid> {
        let tasks = fs::read_dir(self.proc().join("task")).expect("the process lives").flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let pids = |list: String| {
            list.split_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect::<Vec<_>>()
        };
        lists.flat_map(pids).collect()
    }

    fn proc(&self) -> std::path::PathBuf {
        Path::new("/proc").join(self.pid().as_raw_nonzero().to_string())
    }
}

/// Ends a process that is not our child.
struct Successor(Pid);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL); // it may have ended
    }
}

fn address(url: &serde_json::Value) -> SocketAddr {
    let url = url.as_str().expect("a URL is text");
    let host = url.split("//").nth(1).expect("a URL has a host");
    host.parse().expect("the host is an address")
}
