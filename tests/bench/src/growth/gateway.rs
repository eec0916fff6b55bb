//! A server of one question.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::Setting;
use crate::{
    ask::{Answer, Ask},
    contestants::edgewit,
    cpu,
    load::{Pace, Target},
    program::{Program, free_port},
};

/// A server that runs.
pub(crate) struct Gateway {
    pub(crate) program: Program,
    pub(crate) target: Target,
    pub(crate) admin: SocketAddr,
    pub(crate) folder: TempDir,
    head: String,
}

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

impl Gateway {
    /// Starts a server with a configuration that lacks listeners, logs and `origin`.
    pub(crate) fn start(setting: &Setting<'_>, text: &str) -> Result<Self> {
        Self::start_in(setting, tempfile::tempdir()?, text)
    }

    /// The same in a folder that may hold plugins and a cache.
    pub(crate) fn start_in(setting: &Setting<'_>, folder: TempDir, text: &str) -> Result<Self> {
        let (address, admin) = (free_port()?, free_port()?);
        let head = head(setting.origin, address, admin);
        let mut program = edgewit::run(setting.edgewit, folder.path(), &(head.clone() + text))?;
        program.listens_on(address)?;
        Ok(Self { program, target: Target { address, tls: None }, admin, folder, head })
    }

    /// Writes another configuration over that of the running server.
    pub(crate) fn configure(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.folder.path().join("edgewit.toml"), self.head.clone() + text)?)
    }

    /// Asks for a path once.
    pub(crate) fn ask(&self, path: &'static str) -> Result<Answer> {
        self.target.ask(&Ask::to(path))
    }

    /// Microseconds of processor time for a request, and the 99th percentile of its time.
    pub(crate) fn turn(&self, ask: &Ask, pace: Pace, turn: Duration) -> Result<(f64, f64)> {
        let before = cpu::time(self.program.id())?;
        let sample = self.target.load(ask, pace, turn)?;
        let used = cpu::time(self.program.id())?.saturating_sub(before);
        let requests = sample.requests().max(1) as f64;
        Ok((used.as_secs_f64() * 1e6 / requests, sample.percentile(99)))
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> f64 {
        cpu::memory(self.program.id()) as f64 / 1024.0
    }
}

fn head(origin: SocketAddr, address: SocketAddr, admin: SocketAddr) -> String {
    format!(
        "[server]\nworkers = 1\ndrain-delay = \"0s\"\n[admin]\nlisten = \"{admin}\"\n\
         [listeners.web]\nlisten = \"{address}\"\nlimits = {{ connections-per-client = 20000, idle-timeout = \"10m\" }}\n\
         [telemetry]\naccess-log = {{ file = \"access.log\" }}\n\
         [upstreams.origin]\nservers = [\"http://{origin}\"]\n"
    )
}

/// The time from now until something holds.
pub(crate) fn until(mut holds: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if holds()? {
            return Ok(begun.elapsed());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    bail!("it has not happened after {} s", PATIENCE.as_secs())
}

/// A route to the origin, with filters.
pub(crate) fn route(name: &str, path: &str, filters: &str) -> String {
    format!("[routes.{name}]\nmatch = \"{path}\"\nupstream = \"origin\"\nfilters = [{filters}]\n")
}

/// The same component under many names.
pub(crate) fn copies(folder: &Path, component: &Path, names: &[String]) -> Result<()> {
    let plugins = folder.join("plugins");
    fs::create_dir_all(&plugins)?;
    for name in names {
        let to = plugins.join(format!("{name}.wasm"));
        fs::copy(component, to).context("the filter is not built")?;
    }
    Ok(())
}
