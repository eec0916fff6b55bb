//! A server that is compared.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use memchr::memmem;
use tempfile::TempDir;

use crate::{ask::Ask, certificate, contestants, cpu, load::Target, program::Program, work::Work};

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes from one socket to the other.
    Relay,
    /// hyper, the connection to the origin driven by the task of the client's.
    HyperInline,
    /// hyper, the connection to the origin driven by a task of its own.
    Hyper,
    /// nginx; what it is asked to do beyond passing on is a Lua script.
    Nginx,
    /// HAProxy; likewise.
    Haproxy,
    /// Envoy; likewise.
    Envoy,
    /// Edgewit, each instance of a filter reused for many requests.
    Reused,
    /// Edgewit, a fresh instance of each filter for each request.
    Fresh,
}

/// One of those who take part in a scenario, and what it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) work: Work,
}

/// What a contestant is started with.
pub(crate) struct Stage<'a> {
    pub(crate) entry: Entry,
    /// The origin, and the second one.
    pub(crate) origins: [SocketAddr; 2],
    /// Where it keeps its files; certificates are in it.
    pub(crate) folder: &'a Path,
    /// HTTP/2 in TLS instead of HTTP/1.1?
    pub(crate) tls: bool,
    /// The server's binary.
    pub(crate) edgewit: &'a Path,
    /// Envoy's binary.
    pub(crate) envoy: Option<&'a Path>,
}

/// A server that runs.
pub(crate) struct Started {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    /// Where it shows what was counted, with a text that stands there when requests were.
    pub(crate) metrics: Option<(SocketAddr, &'static str, &'static str)>,
}

/// A server that is compared.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) entry: Entry,
    pub(crate) target: Target,
    started: Started,
    _folder: TempDir,
}

/// How long after an answer it may take until it is counted.
const COUNTED: Duration = Duration::from_secs(10);

impl Contestant {
    /// Starts one. `None` where what it needs is not installed.
    pub(crate) fn start(
        entry: Entry,
        origins: [SocketAddr; 2],
        tls: bool,
        (edgewit, envoy): (&Path, Option<&Path>),
    ) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        certificate::make(folder.path())?;
        let stage = Stage { entry, origins, folder: folder.path(), tls, edgewit, envoy };
        let name = entry.name();
        let started = contestants::start(&stage).with_context(|| name.clone())?;
        let Some(started) = started else { return Ok(None) };
        let tls = tls.then(|| certificate::client(folder.path())).transpose()?;
        let target = Target { address: started.address, tls };
        Ok(Some(Self { name, entry, target, started, _folder: folder }))
    }

    /// Does it do its work?
    pub(crate) fn verify(&self, ask: &Ask) -> Result<()> {
        for probe in self.entry.work.probes(ask) {
            let answer = self.target.ask(&probe.ask).with_context(|| self.name.clone())?;
            if let Some(missing) = probe.missing(&answer) {
                bail!("{}: the answer has no `{missing}`:\n{}", self.name, answer.head);
            }
        }
        self.verify_metrics()
    }

    fn verify_metrics(&self) -> Result<()> {
        let Some((address, path, text)) = self.started.metrics else { return Ok(()) };
        let target = Target { address, tls: None };
        let end = Instant::now() + COUNTED;
        loop {
            let body = target.ask(&Ask::to(path))?.body;
            if memmem::find(&body, text.as_bytes()).is_some() {
                return Ok(());
            }
            if Instant::now() > end {
                let body = String::from_utf8_lossy(&body);
                bail!("{}: there is no `{text}` in {path}:\n{body}", self.name);
            }
        }
    }

    /// Processor time of its processes so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu::time(self.started.program.id())
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        cpu::memory(self.started.program.id())
    }
}

impl Entry {
    /// Its name in the table.
    pub(crate) fn name(self) -> String {
        let script = if self.work == Work::Pass { "" } else { " + Lua" };
        let (name, instances) = match self.kind {
            Kind::Relay => return "byte relay".to_owned(),
            Kind::HyperInline => return "bare hyper, inline".to_owned(),
            Kind::Hyper => return "bare hyper, spawned".to_owned(),
            Kind::Nginx => return format!("nginx{script}"),
            Kind::Haproxy => return format!("HAProxy{script}"),
            Kind::Envoy => return format!("Envoy{script}"),
            Kind::Reused => ("edgewit", ", reused"),
            Kind::Fresh => ("edgewit", ", fresh"),
        };
        match self.work {
            Work::Pass => format!("{name}, no filter"),
            Work::Fields(1) => format!("{name}, one header filter{instances}"),
            Work::Fields(count) => format!("{name}, {count} header filters{instances}"),
            Work::Five => format!("{name}, five different{instances}"),
            Work::Rewrite => format!("{name}, bytes rewritten{instances}"),
        }
    }
}
