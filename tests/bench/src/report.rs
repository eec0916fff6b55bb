//! The table of one scenario.

use crate::scenario::Scenario;

/// All turns of all contestants.
pub(crate) struct Table {
    baseline: Row,
    rows: Vec<Row>,
}

/// A contestant, and each of its turns with the turns of the baseline before and after.
struct Row {
    name: String,
    turns: Vec<Turn>,
    /// Positions in the turns of the baseline: the one before. The next one is the one after.
    before: Vec<usize>,
}

/// What one turn brought.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Microseconds of processor time for a request.
    pub(crate) cpu: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// The 50th, 90th and 99th percentile of the time of a request, in microseconds.
    pub(crate) percentiles: [f64; 3],
    /// Resident memory in KiB.
    pub(crate) memory: u64,
}

/// A measure of a turn.
type Measure = fn(&Turn) -> f64;

impl Table {
    pub(crate) fn new(baseline: String, names: Vec<String>) -> Self {
        let row = |name| Row { name, turns: Vec::new(), before: Vec::new() };
        Self { baseline: row(baseline), rows: names.into_iter().map(row).collect() }
    }

    /// A turn of the baseline.
    pub(crate) fn add_baseline(&mut self, turn: Turn) {
        self.baseline.turns.push(turn);
    }

    /// A turn of a contestant. One of the baseline came before, and one follows.
    pub(crate) fn add(&mut self, index: usize, turn: Turn) {
        let before = self.baseline.turns.len().saturating_sub(1);
        if let Some(row) = self.rows.get_mut(index) {
            row.turns.push(turn);
            row.before.push(before);
        }
    }

    pub(crate) fn print(&self, scenario: Scenario) {
        println!("\n### {}\n", scenario.title());
        println!(
            "| contestant | CPU per 1,000 requests | ratio | spread | p50 | p90 | p99 | p99 ratio | requests/s | resident |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        for row in [&self.baseline].into_iter().chain(&self.rows) {
            println!("{}", self.line(row));
        }
        println!(
            "\nratio: median over {} turns of the CPU time per request, each to the mean of the turns of `{}` right before \
             and after; spread: quartiles. Its own spread is between neighbouring turns: what is smaller is noise.",
            self.rows.iter().map(|row| row.turns.len()).max().unwrap_or(0),
            self.baseline.name,
        );
    }

    fn line(&self, row: &Row) -> String {
        let all = |measure: Measure| row.turns.iter().map(measure).collect::<Vec<_>>();
        let [p50, p90, p99] = [0, 1, 2]
            .map(|at| quantile(row.turns.iter().map(|turn| turn.percentiles[at]).collect(), 0.5));
        let cpu = self.ratios(row, |turn| turn.cpu);
        let tail = self.ratios(row, |turn| turn.percentiles[2]);
        format!(
            "| {} | {:.1} ms | {:.2} | {:.2} to {:.2} | {p50:.0} us | {p90:.0} us | {p99:.0} us | {:.2} | {:.0} | {} MiB |",
            row.name,
            quantile(all(|turn| turn.cpu), 0.5),
            quantile(cpu.clone(), 0.5),
            quantile(cpu.clone(), 0.25),
            quantile(cpu, 0.75),
            quantile(tail, 0.5),
            quantile(all(|turn| turn.rate), 0.5),
            row.turns.iter().map(|turn| turn.memory).max().unwrap_or(0) / 1_024,
        )
    }

    /// Each turn to the mean of its neighbours. The baseline's own turns: each to the one before.
    fn ratios(&self, row: &Row, measure: Measure) -> Vec<f64> {
        let baseline: Vec<f64> = self.baseline.turns.iter().map(measure).collect();
        if row.before.is_empty() {
            return baseline.windows(2).map(|two| two[1] / two[0]).collect();
        }
        let pair = |(turn, before): (&Turn, &usize)| {
            let after = baseline.get(before + 1)?;
            Some(measure(turn) * 2.0 / (baseline.get(*before)? + after))
        };
        row.turns.iter().zip(&row.before).filter_map(pair).collect()
    }
}

/// Of values in any order.
pub(crate) fn quantile(mut values: Vec<f64>, at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * at).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(cpu: f64) -> Turn {
        Turn { cpu, rate: 1.0, percentiles: [cpu; 3], memory: 0 }
    }

    #[test]
    fn a_turn_is_compared_with_the_mean_of_its_neighbours() {
        let mut table = Table::new("base".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
        table.add_baseline(turn(1.0));
        table.add(0, turn(4.0));
        table.add_baseline(turn(3.0));
        table.add(1, turn(8.0));
        table.add_baseline(turn(5.0));
        assert_eq!(table.ratios(&table.rows[0], |turn| turn.cpu), [2.0]);
        assert_eq!(table.ratios(&table.rows[1], |turn| turn.cpu), [2.0]);
        assert_eq!(table.ratios(&table.baseline, |turn| turn.cpu), [3.0, 5.0 / 3.0]);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let check = |values: &[f64], at, wanted| {
            assert_eq!(quantile(values.to_vec(), at), wanted, "{at} of {values:?}");
        };
        check(&[3.0, 1.0, 2.0], 0.5, 2.0);
        check(&[5.0, 4.0, 3.0, 2.0, 1.0], 0.25, 2.0);
        check(&[1.0], 0.75, 1.0);
        assert!(quantile(Vec::new(), 0.5).is_nan());
    }
}
