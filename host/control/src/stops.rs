//! Stops of filters as events: a few lines about however many there are.
//!
//! The log has each of the first ones of a second with its details. Here a number is enough, taken from the metrics, so
//! that a stop costs the request nothing more.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_model::PluginName;
use edgewit_telemetry::{Metrics, Stops};

use crate::{
    news::{LOOK, News, Words},
    status::Status,
};

/// Where the pause between two events about a filter ends to double: with a hundred bad filters, the events of some hours are
/// still remembered.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Tells of stops for ever.
pub(crate) async fn tell(metrics: Arc<Metrics>, status: Arc<Status>) {
    let mut tally = Tally::default();
    loop {
        tokio::time::sleep(LOOK).await;
        tally.look(&metrics.stops(), Instant::now(), &status);
    }
}

/// What has been told of stops: their numbers.
struct Tally(News<Key, u64>);

/// Plugin, version and reason.
type Key = (String, String, String);

const WORDS: Words<Key, u64> = Words {
    is_news: |told, count| {
        if *count < *told {
            *told = 0; // it was gone and has come back
        }
        *count > *told
    },
    tell: |status, key, told, count| tell_one(status, key, count - told),
};

impl Default for Tally {
    fn default() -> Self {
        Self(News::new(LONGEST_PAUSE))
    }
}

impl Tally {
    fn look(&mut self, stops: &[Stops], now: Instant, status: &Status) {
        let all = stops.iter().map(|Stops { plugin, version, reason, count }| {
            ((plugin.clone(), version.clone(), reason.clone()), *count)
        });
        self.0.look(all, now, status, &WORDS);
    }
}

fn tell_one(status: &Status, (plugin, version, reason): &Key, count: u64) {
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let message = format!("`{plugin}` {version} was stopped {times}: {reason}");
    match PluginName::new(plugin) {
        Ok(plugin) => status.event_of(&plugin, "stopped", message),
        Err(_) => status.event("stopped", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::MOST_EVENTS;

    fn stops(plugin: &str, count: u64) -> Stops {
        let [plugin, version, reason] = [plugin, "1", "fuel"].map(str::to_owned);
        Stops { plugin, version, reason, count }
    }

    fn messages(status: &Status) -> Vec<String> {
        status.events().after(0, usize::MAX).events.into_iter().map(|e| e.message).collect()
    }

    #[test]
    fn a_filter_that_keeps_being_stopped_is_told_of_less_and_less_often() {
        let status = Status::new(None, &Metrics::new(1));
        let (mut tally, begun) = (Tally::default(), Instant::now());
        for second in 0..3_600_u32 {
            tally.look(&[stops("jwt", u64::from(second) * 10 + 1)], begun + LOOK * second, &status);
        }
        let said = messages(&status);
        assert_eq!(said[0], "`jwt` 1 was stopped once: fuel");
        assert!((8..=16).contains(&said.len()), "{said:?}");
        // None of them is lost: what was told adds up to what was counted when the last event was told.
        let number = |text: &String| text.split(' ').nth(4).and_then(|n| n.parse::<u64>().ok());
        let sum: u64 = said.iter().map(|text| number(text).unwrap_or(1)).sum();
        assert_eq!(sum % 10, 1, "{said:?}");
    }

    #[test]
    fn after_a_quiet_time_the_next_stop_is_told_at_once() {
        let status = Status::new(None, &Metrics::new(1));
        let (mut tally, begun) = (Tally::default(), Instant::now());
        for second in 0..60_u32 {
            tally.look(&[stops("jwt", second.into())], begun + LOOK * second, &status);
        }
        let before = messages(&status).len();
        let later = begun + Duration::from_secs(3_600);
        tally.look(&[stops("jwt", 100)], later, &status);
        tally.look(&[stops("jwt", 101)], later + LOOK, &status);
        assert_eq!(messages(&status).len(), before + 2, "its pauses are short again");
    }

    #[test]
    fn when_everything_fails_a_few_events_say_so() {
        let metrics = Metrics::new(1);
        let status = Status::new(None, &metrics);
        let all: Vec<_> = (0..500).map(|n| stops(&format!("p{n}"), 1)).collect();
        Tally::default().look(&all, Instant::now(), &status);
        assert_eq!(messages(&status).len(), MOST_EVENTS);
        assert!(metrics.text().contains("edgewit_events_dropped_total{reason=\"limited\"} 480"));
    }
}
