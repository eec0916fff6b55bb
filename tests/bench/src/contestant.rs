//! The processes that are compared.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::load;

/// A process that is compared.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Fields that the answer must carry, so that nobody wins by leaving the work out.
    effect: Vec<String>,
    process: Running,
    _folder: Option<tempfile::TempDir>,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Index of the one that others are compared to.
pub(crate) const BASELINE: usize = 1;
/// How long a process may take until it serves.
const START: Duration = Duration::from_secs(30);
/// The core of the contestants, and that of the origin.
const CORES: (&str, &str) = ("0", "1");

/// The filters of the five-filter chain: the same component, configured five times.
const FILTERS: usize = 5;

/// Starts the origin and every contestant in front of it.
pub(crate) fn start_all() -> Result<Vec<Contestant>> {
    let root = root()?;
    let own = std::env::current_exe()?;
    let origin = spawn(CORES.1, &own, &["origin"])?;
    let (origin, to) = announced(origin)?;
    // The origin lives as long as this process.
    std::mem::forget(origin);
    let simple = |name: &'static str, mode: &str| -> Result<Contestant> {
        let (process, address) = announced(spawn(CORES.0, &own, &[mode, &to.to_string()])?)?;
        Ok(Contestant { name, address, effect: Vec::new(), process, _folder: None })
    };
    Ok(vec![
        simple("byte relay", "relay")?,
        simple("bare hyper proxy", "proxy")?,
        edgewit(root, "edgewit, no filter", to, 0, "request")?,
        edgewit(root, "edgewit, 1 filter, reused instance", to, 1, "worker")?,
        edgewit(root, "edgewit, 1 filter, fresh instance", to, 1, "request")?,
        edgewit(root, "edgewit, 5 filters, reused instances", to, FILTERS, "worker")?,
        edgewit(root, "edgewit, 5 filters, fresh instances", to, FILTERS, "request")?,
    ])
}

fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no workspace")
}

/// Builds the host and the filter.
pub(crate) fn build() -> Result<()> {
    let root = root()?;
    let cargo = |args: &[&str]| -> Result<()> {
        let status = Command::new("cargo").args(args).current_dir(root).status()?;
        if status.success() { Ok(()) } else { bail!("cargo {} failed", args.join(" ")) }
    };
    cargo(&["build", "--release", "-p", "edgewit"])?;
    let filter = ["--profile", "filter", "--target", "wasm32-wasip2"];
    cargo(&[&["build", "-p", "edgewit-plugin-headers"], filter.as_slice()].concat())
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn edgewit(
    root: &Path,
    name: &'static str,
    origin: SocketAddr,
    filters: usize,
    isolation: &str,
) -> Result<Contestant> {
    let folder = tempfile::tempdir()?;
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins)?;
    let component = target(root).join("wasm32-wasip2/filter/edgewit_plugin_headers.wasm");
    fs::copy(component, plugins.join("headers.wasm")).context("the filter is not built")?;
    let address = free_port()?;
    let uses: Vec<String> = (0..filters).map(filter_use).collect();
    let config = format!(
        "[server]\nworkers = 1\n[admin]\nlisten = \"off\"\n[listeners.web]\nlisten = \"{address}\"\n\
         [plugins.headers]\nisolation = \"{isolation}\"\n\
         [upstreams.origin]\nservers = [\"http://{origin}\"]\n\
         [routes.bench]\nmatch = \"/{{*rest}}\"\nfilters = [{}]\nupstream = \"origin\"\n\
         [telemetry]\naccess-log = {{ file = \"{}\" }}\n",
        uses.join(", "),
        folder.path().join("access.log").display(),
    );
    let file = folder.path().join("edgewit.toml");
    fs::write(&file, config)?;
    let binary = target(root).join("release/edgewit");
    let file = file.display().to_string();
    let process = spawn(CORES.0, &binary, &["run", "-c", &file])?;
    wait_until_it_listens(address)?;
    let effect = (0..filters).map(|n| format!("x-bench-{n}: 1")).collect();
    Ok(Contestant { name, address, effect, process, _folder: Some(folder) })
}

fn filter_use(n: usize) -> String {
    format!(
        "{{ plugin = \"headers\", config = {{ request = {{ set = {{ x-bench-{n} = \"1\" }} }}, \
         response = {{ set = {{ x-bench-{n} = \"1\" }} }} }} }}"
    )
}

fn spawn(core: &str, program: &Path, args: &[&str]) -> Result<Running> {
    let pinned = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
    let mut command = if pinned {
        let mut taskset = Command::new("taskset");
        taskset.args(["-c", core]).arg(program);
        taskset
    } else {
        Command::new(program)
    };
    let child = command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    Ok(Running(child))
}

/// Reads the address that one of our own modes prints first.
fn announced(mut process: Running) -> Result<(Running, SocketAddr)> {
    let mut output = BufReader::new(process.0.stdout.take().context("no output")?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    let address = line.trim().parse().context("the process did not say where it listens")?;
    Ok((process, address))
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn wait_until_it_listens(address: SocketAddr) -> Result<()> {
    let end = Instant::now() + START;
    while Instant::now() < end {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing listens on {address} after {} s", START.as_secs())
}

impl Contestant {
    /// Does it do its work?
    pub(crate) fn verify(&self) -> Result<()> {
        let head = load::once(self.address).with_context(|| self.name)?;
        match self.effect.iter().find(|field| !head.contains(field.as_str())) {
            Some(field) => bail!("{}: the answer has no `{field}`:\n{head}", self.name),
            None => Ok(()),
        }
    }

    /// Processor time of the process so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut stat = String::new();
        let path = format!("/proc/{}/stat", self.process.0.id());
        fs::File::open(path)?.read_to_string(&mut stat)?;
        // Behind the name, which is in parentheses: field 14 is user time, 15 system time, in clock ticks.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.0.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}
