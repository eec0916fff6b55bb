//! Numbers that many threads write and one reads now and then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::worker;

/// A row of numbers, once for each worker, so that no two workers write the same cache line.
#[derive(Debug)]
pub(crate) struct Cells {
    lines: Box<[Line]>,
    lines_per_shard: usize,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; PER_LINE]);

const PER_LINE: usize = 8;

impl Cells {
    pub(crate) fn new(count: usize, shards: usize) -> Self {
        let lines_per_shard = count.div_ceil(PER_LINE).max(1);
        let lines = (0..lines_per_shard * shards.max(1)).map(|_| Line::default()).collect();
        Self { lines, lines_per_shard }
    }

    /// Adds in this thread's row; wraps around, so that a number may also go down.
    pub(crate) fn add(&self, cell: usize, amount: u64) {
        if let Some(number) = self.own(cell) {
            number.fetch_add(amount, Relaxed);
        }
    }

    /// Raises this thread's number to this, if it is lower.
    pub(crate) fn raise(&self, cell: usize, value: u64) {
        if let Some(number) = self.own(cell)
            && number.load(Relaxed) < value
        {
            number.fetch_max(value, Relaxed);
        }
    }

    fn own(&self, cell: usize) -> Option<&AtomicU64> {
        let line = worker::shard() * self.lines_per_shard + cell / PER_LINE;
        let own = self.lines.get(line).or_else(|| self.lines.get(cell / PER_LINE));
        own.and_then(|line| line.0.get(cell % PER_LINE))
    }

    /// The sum over all rows.
    pub(crate) fn sum(&self, cell: usize) -> u64 {
        self.rows(cell).fold(0, u64::wrapping_add)
    }

    /// The largest over all rows.
    pub(crate) fn max(&self, cell: usize) -> u64 {
        self.rows(cell).max().unwrap_or(0)
    }

    fn rows(&self, cell: usize) -> impl Iterator<Item = u64> {
        let of_shard = move |shard: &[Line]| {
            let line = shard.get(cell / PER_LINE);
            line.and_then(|l| l.0.get(cell % PER_LINE)).map_or(0, |n| n.load(Relaxed))
        };
        self.lines.chunks(self.lines_per_shard).map(of_shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_count_into_one_sum() {
        let cells = Cells::new(10, 3);
        std::thread::scope(|scope| {
            for index in 0..5 {
                let cells = &cells;
                scope.spawn(move || {
                    worker::enter_worker(index);
                    for _ in 0..1_000 {
                        cells.add(9, 2);
                    }
                    cells.add(0, u64::MAX);
                });
            }
        });
        cells.add(0, 7);
        assert_eq!((cells.sum(9), cells.sum(0), cells.sum(1)), (10_000, 2, 0));
    }
}
