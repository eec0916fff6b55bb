//! The table of one run.

use std::time::Duration;

use anyhow::Result;

use crate::{
    contestant::{BASELINE, Contestant},
    load::Sample,
};

/// All turns of all contestants.
pub(crate) struct Table {
    turns: Vec<Vec<Turn>>,
}

struct Turn {
    round: u64,
    cpu_us: f64,
    p50: u32,
    p99: u32,
}

impl Table {
    pub(crate) fn new(field: &[Contestant]) -> Self {
        Self { turns: field.iter().map(|_| Vec::new()).collect() }
    }

    pub(crate) fn add(&mut self, index: usize, round: u64, sample: Sample, cpu: Duration) {
        let requests = sample.requests.max(1) as f64;
        self.turns[index].push(Turn {
            round,
            cpu_us: cpu.as_secs_f64() * 1e6 / requests,
            p50: percentile(&sample.latencies, 50),
            p99: percentile(&sample.latencies, 99),
        });
    }

    pub(crate) fn print(&self, field: &[Contestant]) -> Result<()> {
        println!("\n| contestant | CPU per request | ratio | p50 | p99 | resident |");
        println!("|---|---|---|---|---|---|");
        for (index, contestant) in field.iter().enumerate() {
            let turns = &self.turns[index];
            let ratios = turns.iter().map(|t| t.cpu_us / self.baseline(t.round)).collect();
            println!(
                "| {} | {:.1} us | {:.2} | {} us | {} us | {} MiB |",
                contestant.name,
                median(turns.iter().map(|t| t.cpu_us).collect()),
                median(ratios),
                median(turns.iter().map(|t| f64::from(t.p50)).collect()),
                median(turns.iter().map(|t| f64::from(t.p99)).collect()),
                contestant.memory() / 1_024,
            );
        }
        println!(
            "\nratio: median over {} rounds, each to the bare hyper proxy",
            self.turns[0].len()
        );
        Ok(())
    }

    fn baseline(&self, round: u64) -> f64 {
        let turn = self.turns[BASELINE].iter().find(|t| t.round == round);
        turn.map_or(f64::NAN, |t| t.cpu_us)
    }
}

fn percentile(sorted: &[u32], percent: usize) -> u32 {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or(0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
