//! How many instructions may a request take?
//!
//! Time drifts with the machine, instructions do not: valgrind's callgrind counts those that a process executes in user space.
//! Counted is the thread that serves, for N and for 2 N requests on one keep-alive connection, so that the difference is
//! what N requests took, without start and end. `budget.toml` holds what was last agreed on.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    artifacts,
    ask::Ask,
    contestants::edgewit::{header_filter, lay_out, plugin},
    load::h1::Line,
    options::Budget,
    program::{BACK, FRONT, Program, find, free_port},
    servers::local,
};

/// What `budget.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Agreed {
    /// More than so many percent above or below the number is told.
    tolerance_percent: f64,
    /// Instructions of a request, by case.
    instructions: BTreeMap<String, f64>,
}

/// What the filters are in each case: how many, and how their instances are used.
const CASES: [(&str, usize, &str); 3] = [
    ("no-filter", 0, "request"),
    ("one-filter-reused", 1, "worker"),
    ("one-filter-fresh", 1, "request"),
];
/// Requests of the shorter run.
const REQUESTS: usize = 500;
/// Requests before them: until buffers have grown and instances are warm.
const WARM: usize = 100;
const VALGRIND: [&str; 2] = ["/usr/bin/valgrind", "/usr/local/bin/valgrind"];

/// How a count stands to its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Over,
    Within,
    /// So far below that the budget should be lowered.
    Shrunk,
}

/// Counts, and fails if there are more than agreed.
pub(crate) fn run(options: &Budget) -> Result<()> {
    let Some(valgrind) = find(&VALGRIND) else {
        println!("skipped: valgrind is not installed (Debian: apt-get install valgrind)");
        return Ok(());
    };
    if !options.no_build {
        artifacts::build_counted()?;
    }
    let binary = artifacts::counted()?;
    let page = artifacts::root()?.join("tests/bench/budget.toml");
    let agreed = read(&page)?;
    let (_origin, origins) = Program::own(BACK, &["origin"])?;
    let origin = *origins.first().context("the origin listens nowhere")?;
    let state = tempfile::tempdir()?;
    let mut over = Vec::new();
    for (name, filters, isolation) in CASES {
        let count = |requests| {
            let (binary, state) = (binary.clone(), state.path());
            let case = Case { valgrind, binary, origin, filters, isolation, state };
            case.count(requests).with_context(|| name.to_owned())
        };
        let (short, long) = (count(REQUESTS)?, count(2 * REQUESTS)?);
        let counted = long.saturating_sub(short) as f64 / REQUESTS as f64;
        let Some(budget) = agreed.instructions.get(name) else {
            println!("{name}: {counted:.0} instructions a request, nothing agreed on yet");
            continue;
        };
        let percent = (counted / *budget - 1.0) * 100.0;
        println!(
            "{name}: {counted:.0} instructions a request, budget {budget:.0} ({percent:+.1} %)"
        );
        match standing(percent, agreed.tolerance_percent) {
            Standing::Over => over.push(name),
            Standing::Within => {}
            Standing::Shrunk => {
                println!("  cheaper: write `{name} = {counted:.0}` into {}", page.display())
            }
        }
    }
    if !over.is_empty() {
        bail!(
            "more instructions than agreed for {}; if they are worth it, write the counts above into {} and say why",
            over.join(", "),
            page.display()
        );
    }
    Ok(())
}

fn read(page: &Path) -> Result<Agreed> {
    let text = fs::read_to_string(page)?;
    edgewit_config::read_toml(&text).map_err(|error| anyhow::anyhow!("{}: {error}", page.display()))
}

fn standing(percent: f64, tolerance: f64) -> Standing {
    if percent < -tolerance {
        Standing::Shrunk
    } else if percent <= tolerance {
        Standing::Within
    } else {
        Standing::Over
    }
}

/// One run under callgrind.
struct Case<'a> {
    valgrind: &'a Path,
    binary: PathBuf,
    origin: SocketAddr,
    filters: usize,
    isolation: &'a str,
    /// What was compiled once: under valgrind that takes minutes.
    state: &'a Path,
}

impl Case<'_> {
    /// Instructions of the serving thread from its start to its end, with so many requests between.
    fn count(&self, requests: usize) -> Result<u64> {
        let folder = tempfile::tempdir()?;
        let address = free_port()?;
        let text = self.config(address);
        let out = folder.path().join("callgrind.out");
        let out_file = format!("--callgrind-out-file={}", out.display());
        let config = lay_out(folder.path(), &text)?.display().to_string();
        let binary = self.binary.display().to_string();
        let tool = ["--tool=callgrind", "--separate-threads=yes", "--quiet", &out_file];
        let arguments = [tool.as_slice(), &[&binary, "gateway", &config]].concat();
        let mut program = Program::start(FRONT, self.valgrind, &arguments)?;
        program.listens_on(address)?;
        local(async {
            let mut line = Line::connect(address, &Ask::small()).await?;
            for _ in 0..WARM + requests {
                line.exchange().await?;
            }
            Ok(())
        })?;
        program.end()?;
        serving(folder.path())
    }

    fn config(&self, address: SocketAddr) -> String {
        let uses: Vec<String> = (0..self.filters).map(header_filter).collect();
        let plugin =
            if self.filters > 0 { plugin("headers", self.isolation) } else { String::new() };
        format!(
            "[server]\nworkers = 1\ninstances = 4\nstate-dir = \"{}\"\ndrain-delay = \"0s\"\n[admin]\nlisten = \"off\"\n\
             [listeners.web]\nlisten = \"{address}\"\n\
             [limits]\ntime = \"60s\"\ninstantiate-time = \"60s\"\nconfigure-time = \"60s\"\n{plugin}\
             [upstreams.origin]\nservers = [\"http://{}\"]\n\
             [routes.bench]\nmatch = \"/{{*rest}}\"\nfilters = [{}]\nupstream = \"origin\"\n\
             [telemetry]\naccess-log = {{ file = \"access.log\" }}\n",
            self.state.display(),
            self.origin,
            uses.join(", "),
        )
    }
}

/// Instructions of the thread that served: among the threads of a run the one that went through our exchange.
fn serving(folder: &Path) -> Result<u64> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("callgrind.out") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        if text.contains(EXCHANGE) {
            found.push(total(&text).with_context(|| format!("`{name}` has no total"))?);
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        others => bail!("{} threads served instead of one", others.len()),
    }
}

/// A name that stands in the profile of a thread that served.
const EXCHANGE: &str = "edgewit_proxy::exchange::";

/// The line that sums up a profile.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals: "))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_over_its_budget_fails_and_one_far_below_is_told() {
        let check = |percent, wanted| assert_eq!(standing(percent, 5.0), wanted, "{percent} %");
        check(5.1, Standing::Over);
        check(5.0, Standing::Within);
        check(0.0, Standing::Within);
        check(-5.0, Standing::Within);
        check(-5.1, Standing::Shrunk);
        check(f64::NAN, Standing::Over);
    }

    #[test]
    fn the_total_of_a_profile_is_found() {
        assert_eq!(total("events: Ir\nfn=(1) main\n1 5\ntotals: 123\n"), Some(123));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn every_case_has_a_budget() {
        let agreed = read(&artifacts::root().unwrap().join("tests/bench/budget.toml")).unwrap();
        let mut cases = CASES.map(|(case, ..)| case);
        cases.sort_unstable();
        assert!(agreed.instructions.keys().eq(&cases), "{:?}", agreed.instructions);
    }
}
