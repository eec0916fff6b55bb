//! What has happened: the latest events, each with a number, for whoever asks and whoever watches.
//!
//! As many as the ring holds are remembered, whatever happens. Nobody who puts one down ever waits for anybody who watches.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, UNIX_EPOCH},
};

use edgewit_model::PluginName;
use edgewit_telemetry::{Counter, Metrics, families};
use serde::Serialize;
use tokio::sync::watch;

use crate::time::Timestamp;

/// Something that changed what is served, or was refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Grows with each event, also over a restart: the first of a process is the time of its start.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// `start`, `reload`, `swap`, `refused`, `command`, `file`, `quarantine`, `rolled-back`, `stopped`, `certificate`,
    /// `health`, `upgrade` or `drain`.
    pub kind: &'static str,
    /// Whose version was swapped, stopped or refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginName>,
    /// In words.
    pub message: String,
}

/// The latest events.
#[derive(Debug)]
pub(crate) struct Events {
    ring: Mutex<Ring>,
    /// The number of the latest, for those who wait for it.
    latest: watch::Sender<u64>,
    dropped: Counter,
}

#[derive(Debug)]
struct Ring {
    /// The number of the first event of this process.
    begin: u64,
    next: u64,
    events: VecDeque<Event>,
    /// Begin of the second that is counted, and what others have caused in it.
    second: Instant,
    caused: u32,
}

/// What has happened after some event.
#[derive(Debug, PartialEq)]
pub(crate) struct After {
    /// Events in between that are not remembered any more.
    pub(crate) missed: u64,
    /// The oldest first.
    pub(crate) events: Vec<Event>,
}

/// Events that are remembered: a day of a busy operator.
const MOST_EVENTS: usize = 1_000;
/// Bytes of a message. The log has all of it.
const LARGEST_MESSAGE: usize = 1 << 10;
/// Events a second that anybody who reaches the endpoint can cause by requests that are refused.
const MOST_CAUSED: u32 = 10;

impl Events {
    /// Nothing has happened yet.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let since = UNIX_EPOCH.elapsed().unwrap_or_default();
        let begin = u64::try_from(since.as_micros()).unwrap_or(1).max(1);
        Self {
            ring: Mutex::new(Ring {
                begin,
                next: begin,
                events: VecDeque::new(),
                second: Instant::now(),
                caused: 0,
            }),
            latest: watch::Sender::new(begin - 1),
            dropped: metrics.counter(&families::EVENTS_DROPPED, &[("reason", "limited")]),
        }
    }

    /// Puts down what has happened.
    pub(crate) fn put(&self, kind: &'static str, plugin: Option<&PluginName>, message: &str) {
        self.put_into(self.lock(), kind, plugin, message);
    }

    /// The same, of what anybody can cause as often as he likes: the first ones of each second.
    pub(crate) fn put_caused(
        &self,
        kind: &'static str,
        plugin: Option<&PluginName>,
        message: &str,
    ) {
        let mut ring = self.lock();
        if ring.second.elapsed() >= Duration::from_secs(1) {
            (ring.second, ring.caused) = (Instant::now(), 0);
        }
        ring.caused = ring.caused.saturating_add(1);
        if ring.caused > MOST_CAUSED {
            return self.dropped.increment();
        }
        self.put_into(ring, kind, plugin, message);
    }

    /// Counts events that there was no room for.
    pub(crate) fn drop_some(&self, count: u64) {
        self.dropped.add(count);
    }

    fn put_into(
        &self,
        mut ring: MutexGuard<'_, Ring>,
        kind: &'static str,
        plugin: Option<&PluginName>,
        message: &str,
    ) {
        let id = ring.next;
        let (plugin, message) = (plugin.cloned(), clean(message));
        ring.next += 1;
        ring.events.push_back(Event { id, at: Timestamp::now(), kind, plugin, message });
        if ring.events.len() > MOST_EVENTS {
            ring.events.pop_front();
        }
        self.latest.send_replace(id); // within the lock, so that it never goes back
    }

    /// The latest, the latest first.
    pub(crate) fn latest(&self, most: usize) -> Vec<Event> {
        self.lock().events.iter().rev().take(most).cloned().collect()
    }

    /// What has happened after an event, at most so much of it. After 0, or what is none of ours: everything remembered.
    pub(crate) fn after(&self, id: u64, most: usize) -> After {
        let ring = self.lock();
        let id = if id < ring.next { id } else { 0 };
        let first = ring.events.front().map_or(ring.next, |event| event.id);
        // What follows an event of a process before is the first of this one.
        let missed =
            if id == 0 { 0 } else { first.saturating_sub(id.saturating_add(1).max(ring.begin)) };
        let after = ring.events.partition_point(|event| event.id <= id);
        let events = ring.events.iter().skip(after).take(most).cloned().collect();
        After { missed, events }
    }

    /// Tells when there is another one.
    pub(crate) fn bell(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bounded and one line, so that no terminal obeys what a filter or a file has said.
fn clean(message: &str) -> String {
    let end = message.floor_char_boundary(LARGEST_MESSAGE);
    let mut out = String::with_capacity(end);
    for c in message.get(..end).unwrap_or_default().chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(after: &After) -> Vec<u64> {
        after.events.iter().map(|event| event.id).collect()
    }

    #[test]
    fn events_are_numbered_and_asked_for_from_any_of_them_on() {
        let events = Events::new(&Metrics::new(1));
        let begin = events.lock().begin;
        for n in 0..5 {
            events.put("swap", None, &n.to_string());
        }
        let five: Vec<u64> = (begin..begin + 5).collect();
        let cases = [
            (0, 0, &five[..]),
            (begin, 0, &five[1..]),
            (begin + 4, 0, &[]),
            (begin - 1_000, 0, &five[..]), // of a process before
            (u64::MAX, 0, &five[..]),      // nobody has told it that
        ];
        for (id, missed, expected) in cases {
            let after = events.after(id, 10);
            assert_eq!((after.missed, ids(&after).as_slice()), (missed, expected), "after {id}");
        }
        assert_eq!(ids(&events.after(0, 2)), five[..2]);
        let latest: Vec<u64> = events.latest(2).iter().map(|event| event.id).collect();
        assert_eq!(latest, [begin + 4, begin + 3]);
        assert_eq!(*events.bell().borrow(), begin + 4);
    }

    #[test]
    fn what_is_not_remembered_any_more_is_told_as_missed() {
        let events = Events::new(&Metrics::new(1));
        let begin = events.lock().begin;
        for _ in 0..MOST_EVENTS + 7 {
            events.put("swap", None, "again");
        }
        let first = begin + 7;
        for (id, missed) in [(0, 0), (begin, 6), (begin + 5, 1), (begin + 6, 0), (1, 7)] {
            let after = events.after(id, 1);
            assert_eq!((after.missed, ids(&after)), (missed, vec![first]), "after {id}");
        }
        assert_eq!(events.after(0, usize::MAX).events.len(), MOST_EVENTS);
    }

    #[test]
    fn who_is_refused_again_and_again_does_not_push_out_what_counts() {
        let metrics = Metrics::new(1);
        let events = Events::new(&metrics);
        events.put("swap", None, "the one that counts");
        for _ in 0..MOST_EVENTS {
            events.put_caused("command", None, "refused");
        }
        let all = events.after(0, usize::MAX).events;
        assert_eq!(all[0].kind, "swap");
        // A machine that stands still for seconds lets some more through.
        assert!(all.len() < MOST_EVENTS / 2, "{}", all.len());
        let dropped = MOST_EVENTS + 1 - all.len();
        let line = format!("edgewit_events_dropped_total{{reason=\"limited\"}} {dropped}");
        assert!(metrics.text().contains(&line), "{line}");
    }

    #[test]
    fn a_message_is_one_short_line() {
        let events = Events::new(&Metrics::new(1));
        events.put("refused", None, "a\nb\u{1b}[31m");
        events.put("refused", None, &"\u{fc}".repeat(4_000));
        let all = events.after(0, 2).events;
        assert_eq!(all[0].message, "a b\\u{1b}[31m");
        assert_eq!(all[1].message.len(), LARGEST_MESSAGE);
    }
}
