//! Who is next, so that no plugin takes the time of another.

use std::{collections::VecDeque, time::Duration};

use edgewit_model::PluginName;

/// Jobs that wait, a line for each plugin. Next is the plugin that took the least time so far.
///
/// A plugin that comes later, or comes back, begins with the time of the one whose turn it is: nobody saves up time.
#[derive(Debug)]
pub(super) struct Queue<J> {
    lines: Vec<Line<J>>,
    /// What the plugin had taken that had its turn last.
    floor: Duration,
}

#[derive(Debug)]
struct Line<J> {
    plugin: PluginName,
    jobs: VecDeque<J>,
    running: usize,
    took: Duration,
}

/// Jobs of one plugin that may wait. More would wait too long, and each holds a request in memory.
pub(super) const MOST_WAITING: usize = 1_024;

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self { lines: Vec::new(), floor: Duration::ZERO }
    }
}

impl<J> Queue<J> {
    /// Puts a job at the end of its plugin's line, if that has room.
    pub(super) fn push(&mut self, plugin: &PluginName, job: J) -> Result<(), J> {
        let floor = self.floor;
        let Some(line) = self.line(plugin) else {
            let (plugin, jobs) = (plugin.clone(), VecDeque::from([job]));
            self.lines.push(Line { plugin, jobs, running: 0, took: floor });
            return Ok(());
        };
        if line.jobs.len() >= MOST_WAITING {
            return Err(job);
        }
        line.took = line.took.max(floor);
        line.jobs.push_back(job);
        Ok(())
    }

    /// The next job. What it takes is to be told to [`Queue::took`].
    pub(super) fn pop(&mut self) -> Option<(PluginName, J)> {
        let waiting = self.lines.iter_mut().filter(|line| !line.jobs.is_empty());
        let line = waiting.min_by_key(|line| line.took)?;
        let job = line.jobs.pop_front()?;
        line.running += 1;
        let (plugin, floor) = (line.plugin.clone(), line.took);
        self.floor = self.floor.max(floor);
        Some((plugin, job))
    }

    /// A job of this plugin has ended, after that time.
    pub(super) fn took(&mut self, plugin: &PluginName, time: Duration) {
        if let Some(line) = self.line(plugin) {
            line.running = line.running.saturating_sub(1);
            line.took = line.took.saturating_add(time);
        }
        if self.lines.iter().all(Line::is_done) {
            self.floor = Duration::ZERO;
            self.lines.clear();
        }
        // What a plugin took is remembered while it still makes a difference.
        let floor = self.floor;
        self.lines.retain(|line| !line.is_done() || line.took > floor);
    }

    fn line(&mut self, plugin: &PluginName) -> Option<&mut Line<J>> {
        self.lines.iter_mut().find(|line| line.plugin == *plugin)
    }
}

impl<J> Line<J> {
    fn is_done(&self) -> bool {
        self.jobs.is_empty() && self.running == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(name: &str) -> PluginName {
        PluginName::new(name).unwrap()
    }

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    /// Takes a job and says what it took.
    fn turn(queue: &mut Queue<u32>, cost: impl Fn(&str) -> u64) -> Option<(String, u32)> {
        let (plugin, job) = queue.pop()?;
        queue.took(&plugin, ms(cost(plugin.as_str())));
        Some((plugin.as_str().to_owned(), job))
    }

    fn cost(name: &str) -> u64 {
        if name == "spin" { 50 } else { 5 }
    }

    #[test]
    fn jobs_of_a_plugin_are_done_in_their_order() {
        let mut queue = Queue::default();
        (0..3).for_each(|n| queue.push(&plugin("a"), n).unwrap());
        let order: Vec<_> = std::iter::from_fn(|| turn(&mut queue, cost)).collect();
        assert_eq!(order, [("a".to_owned(), 0), ("a".to_owned(), 1), ("a".to_owned(), 2)]);
        assert!(queue.lines.is_empty());
    }

    #[test]
    fn plugins_get_the_same_time_however_many_jobs_they_have() {
        let mut queue = Queue::default();
        (0..1_000).for_each(|n| queue.push(&plugin("spin"), n).unwrap());
        (0..200).for_each(|n| queue.push(&plugin("honest"), n).unwrap());
        let turns: Vec<_> = (0..110).filter_map(|_| turn(&mut queue, cost)).collect();
        let honest = turns.iter().filter(|(name, _)| name == "honest").count();
        assert_eq!((honest, turns.len()), (100, 110), "both had half a second");
    }

    #[test]
    fn one_that_sends_a_job_at_a_time_saves_up_nothing() {
        let mut queue = Queue::default();
        (0..1_000).for_each(|n| queue.push(&plugin("honest"), n).unwrap());
        let (mut honest, mut spins) = (0, 0);
        while honest + spins < 110 {
            if queue.line(&plugin("spin")).is_none_or(|line| line.is_done()) {
                queue.push(&plugin("spin"), 0).unwrap();
            }
            match turn(&mut queue, cost) {
                Some((name, _)) if name == "spin" => spins += 1,
                _ => honest += 1,
            }
        }
        assert!(honest >= 95, "{honest} of the honest, {spins} spins");
    }

    #[test]
    fn one_that_comes_later_waits_for_a_turn_and_has_no_credit() {
        let mut queue = Queue::default();
        (0..1_000).for_each(|n| queue.push(&plugin("a"), n).unwrap());
        (0..100).for_each(|_| drop(turn(&mut queue, cost)));
        (0..1_000).for_each(|n| queue.push(&plugin("b"), n).unwrap());
        let turns: Vec<_> = (0..20).filter_map(|_| turn(&mut queue, cost)).collect();
        let later = turns.iter().filter(|(name, _)| name == "b").count();
        assert!((9..=11).contains(&later), "{later} of 20");
    }

    #[test]
    fn a_line_that_is_full_keeps_no_other_from_waiting() {
        let mut queue = Queue::default();
        let full = (0..u32::MAX).find(|n| queue.push(&plugin("a"), *n).is_err());
        assert_eq!(full.map(|n| n as usize), Some(MOST_WAITING));
        assert_eq!(queue.push(&plugin("b"), 1), Ok(()));
    }
}
