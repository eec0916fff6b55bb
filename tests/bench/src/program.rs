//! Processes that belong to a run.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cpu;

/// A process that ends with this value.
pub(crate) struct Program(Child);

/// The core of the contestants.
pub(crate) const FRONT: &str = "0";
/// The core of origin and load.
pub(crate) const BACK: &str = "1";
/// How long a process may take until it serves; the first start compiles filters.
const START: Duration = Duration::from_secs(600);

impl Program {
    /// Starts a program on a core.
    pub(crate) fn start<A: AsRef<OsStr>>(core: &str, program: &Path, args: &[A]) -> Result<Self> {
        Self::spawn(pinned(core, program).args(args).stdout(Stdio::null()), program)
    }

    /// Starts one of our own modes, which prints first where it listens.
    pub(crate) fn own<A: AsRef<OsStr>>(core: &str, args: &[A]) -> Result<(Self, Vec<SocketAddr>)> {
        let program = std::env::current_exe()?;
        let mut own =
            Self::spawn(pinned(core, &program).args(args).stdout(Stdio::piped()), &program)?;
        let mut output = BufReader::new(own.0.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let addresses: Result<_, _> = line.split_whitespace().map(str::parse).collect();
        Ok((own, addresses.context("the process did not say where it listens")?))
    }

    fn spawn(command: &mut Command, program: &Path) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("could not start `{}`", program.display()))?))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let end = Instant::now() + START;
        while Instant::now() < end {
            match self.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the process ended with {status}"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        bail!("the process has not ended after {} s", START.as_secs())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until something answers at an address.
    pub(crate) fn listens_on(&mut self, address: SocketAddr) -> Result<()> {
        let end = Instant::now() + START;
        while Instant::now() < end {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("the process ended with {status} before it served");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("nothing listens on {address} after {} s", START.as_secs())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Workers of nginx outlive a master that is killed; so they are remembered before.
        let family = cpu::family(self.id());
        let _ = self.0.kill();
        let _ = self.0.wait();
        for worker in family.into_iter().skip(1) {
            let id = i32::try_from(worker).ok().and_then(Pid::from_raw);
            let _ = id.map(|id| kill_process(id, Signal::KILL));
        }
    }
}

/// A command on one core, where the machine has two and `taskset` is at hand.
pub(crate) fn pinned(core: &str, program: &Path) -> Command {
    if !can_pin() {
        return Command::new(program);
    }
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", core]).arg(program);
    taskset
}

/// This process once more, on a core; what it starts on another one is not affected.
pub(crate) fn again_on(core: &str) -> Result<()> {
    let mut command = pinned(core, &std::env::current_exe()?);
    Err(command.args(std::env::args_os().skip(1)).arg("--pinned").exec().into())
}

/// Can processes be kept apart?
pub(crate) fn can_pin() -> bool {
    let try_out = Command::new("taskset").args(["-c", BACK, "true"]).stderr(Stdio::null()).status();
    try_out.is_ok_and(|status| status.success())
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The first of these files that is there.
pub(crate) fn find(paths: &[&'static str]) -> Option<&'static Path> {
    paths.iter().map(|path| Path::new(*path)).find(|path| path.exists())
}
