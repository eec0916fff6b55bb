//! Runs a comparison: everybody alive, one turn each, the baseline between them.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{
    artifacts,
    contestant::{Contestant, Entry},
    load::Pace,
    options::Compare,
    program::{BACK, Program, again_on, can_pin},
    report::{Table, Turn},
    scenario::{SHARE, Scenario},
};

/// Builds, then compares, on the core of the load.
pub(crate) fn run(options: &Compare) -> Result<()> {
    if !options.pinned {
        artifacts::build(&options.server)?;
        return again_on(BACK);
    }
    if !can_pin() {
        println!("nothing is pinned: `taskset` or a second core is missing; figures mean little");
    }
    let (_origin, addresses) = Program::own(BACK, &["origin"])?;
    let origins = addresses.try_into().ok().context("the origin has two addresses")?;
    let edgewit = artifacts::binary(&options.server)?;
    let chosen = options.scenarios.clone();
    let chosen = if chosen.is_empty() { Scenario::all() } else { chosen };
    for scenario in chosen {
        let stage = Comparison { scenario, origins, edgewit: edgewit.clone(), options };
        stage.run()?.print(scenario);
    }
    Ok(())
}

struct Comparison<'a> {
    scenario: Scenario,
    origins: [std::net::SocketAddr; 2],
    edgewit: PathBuf,
    options: &'a Compare,
}

impl Comparison<'_> {
    fn run(&self) -> Result<Table> {
        let baseline = self.baseline()?;
        let mut field = Vec::new();
        for entry in self.scenario.entries() {
            if entry != baseline.entry {
                field.extend(self.start(entry)?);
            }
        }
        for contestant in [&baseline].into_iter().chain(&field) {
            contestant.verify(&self.scenario.ask())?;
            // Connections, caches and branch predictors.
            self.turn(contestant, Pace::Closed)?;
        }
        let pace = self.pace(&baseline)?;
        let names = field.iter().map(|contestant| contestant.name.clone()).collect();
        let mut table = Table::new(baseline.name.clone(), names);
        for _ in 0..self.options.rounds {
            table.add_baseline(self.turn(&baseline, pace)?);
            for (index, contestant) in field.iter().enumerate() {
                table.add(index, self.turn(contestant, pace)?);
                table.add_baseline(self.turn(&baseline, pace)?);
            }
        }
        Ok(table)
    }

    fn baseline(&self) -> Result<Contestant> {
        for entry in self.scenario.baselines() {
            if let Some(contestant) = self.start(entry)? {
                return Ok(contestant);
            }
        }
        anyhow::bail!("there is nothing to compare with")
    }

    fn start(&self, entry: Entry) -> Result<Option<Contestant>> {
        let programs = (self.edgewit.as_path(), self.options.envoy.as_deref());
        Contestant::start(entry, self.origins, self.scenario.tls(), programs)
    }

    /// How fast requests come.
    fn pace(&self, baseline: &Contestant) -> Result<Pace> {
        if self.scenario != Scenario::Open {
            return Ok(Pace::Closed);
        }
        let rate = SHARE * self.turn(baseline, Pace::Closed)?.rate;
        println!("{}: {rate:.0} requests a second", self.scenario.title());
        Ok(Pace::Open(rate))
    }

    fn turn(&self, contestant: &Contestant, pace: Pace) -> Result<Turn> {
        let turn = Duration::from_millis(self.options.millis);
        let ask = self.scenario.ask();
        let before = contestant.cpu()?;
        let sample = contestant.target.load(&ask, pace, turn);
        let sample = sample.with_context(|| contestant.name.clone())?;
        let cpu = contestant.cpu()?.saturating_sub(before);
        let requests = sample.requests().max(1) as f64;
        Ok(Turn {
            cpu: cpu.as_secs_f64() * 1e6 / requests,
            rate: requests / turn.as_secs_f64(),
            percentiles: [50, 90, 99].map(|percent| sample.percentile(percent)),
            memory: contestant.memory(),
        })
    }
}
