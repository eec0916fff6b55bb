//! Decides whether an attempt is repeated, and after which pause.
//!
//! The host keeps the rules that no policy may break: budget, deadline, what may be repeated at all. Start reading at
//! [`RetryPolicy`]'s `judge`.

mod backoff;

mod condition;

mod retry_after;

use backoff::Backoff;
use condition::Conditions;
use edgewit_sdk::{Attempt, Needs, ResponseField, clock, random, retry};
use serde::Deserialize;

/// What is repeated, how often, and how soon.
#[derive(Debug)]
pub struct RetryPolicy {
    on: Conditions,
    attempts: u32,
    backoff: Backoff,
    longest_retry_after_ms: u32,
    retry_after: ResponseField,
    elsewhere: bool,
}

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default = "default_on")]
    on: Vec<String>,
    #[serde(default = "default_attempts")]
    attempts: u32,
    #[serde(default = "default_backoff")]
    backoff: String,
    #[serde(default = "default_max_retry_after")]
    max_retry_after: String,
    #[serde(default = "default_elsewhere")]
    elsewhere: bool,
}

impl RetryPolicy {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        if !(1..=MOST_ATTEMPTS).contains(&config.attempts) {
            return Err(format!(
                "`attempts` is {}; 1 to {MOST_ATTEMPTS} are allowed, the first included",
                config.attempts
            ));
        }
        Ok(RetryPolicy {
            on: Conditions::check(&config.on)?,
            attempts: config.attempts,
            backoff: Backoff::parse(&config.backoff)
                .map_err(|problem| format!("`backoff`: {problem}"))?,
            longest_retry_after_ms: backoff::duration_ms(&config.max_retry_after)
                .map_err(|problem| format!("`max-retry-after`: {problem}"))?,
            retry_after: needs.response_field("retry-after"),
            elsewhere: config.elsewhere,
        })
    }

    fn judge(&self, attempt: &mut Attempt) -> retry::Verdict {
        if attempt.number >= self.attempts || !self.on.hold_for(attempt) {
            return retry::Verdict::Finish;
        }
        let pause = self.backoff.pause_ms(attempt.number, random::number());
        let after_ms = match self.asked_for_ms(attempt) {
            Some(asked) if asked > self.longest_retry_after_ms => return retry::Verdict::Finish,
            // The jitter comes on top, so that not everybody who was sent away is back at the same moment.
            Some(asked) => asked.saturating_add(pause),
            None => pause,
        };
        if after_ms >= attempt.remaining_ms {
            return retry::Verdict::Finish;
        }
        retry::Verdict::Again { after_ms, elsewhere: self.elsewhere }
    }

    /// What the upstream asked for. A value that cannot be understood counts as none.
    fn asked_for_ms(&self, attempt: &Attempt) -> Option<u32> {
        let value = attempt.get(self.retry_after)?;
        retry_after::parse_ms(value.text()?, clock::wall_ms)
    }
}

edgewit_sdk::export!(RetryPolicy: lifecycle, retry);

/// More attempts than this are no policy but an attack.
const MOST_ATTEMPTS: u32 = 10;

fn default_on() -> Vec<String> {
    ["connect", "unavailable", "reset", "502", "503", "504"].map(String::from).to_vec()
}

fn default_attempts() -> u32 {
    3
}

fn default_backoff() -> String {
    "25ms..250ms".into()
}

fn default_max_retry_after() -> String {
    "1s".into()
}

fn default_elsewhere() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgewit_sdk::retry::{Failure, Verdict};
    use edgewit_sdk::testing;

    /// The pause, if there is another attempt. The jitter is at its upper end.
    fn judge(config: &str, attempt: impl FnOnce(&Needs) -> Attempt) -> Option<u32> {
        let (filter, needs) = testing::configure(RetryPolicy::configure, config).unwrap();
        testing::host(|host| host.random = [u64::MAX].into());
        match filter.judge(&mut attempt(&needs)) {
            Verdict::Finish => None,
            Verdict::Again { after_ms, .. } => Some(after_ms),
        }
    }

    #[test]
    fn only_what_is_listed_is_repeated() {
        let config = r#"{"on": ["429", "5xx", "connect"]}"#;
        let statuses = [(200, false), (404, false), (429, true), (500, true), (599, true)];
        for (status, again) in statuses {
            let pause = judge(config, |needs| testing::attempt_for(needs, 1, status, &[]));
            assert_eq!(pause.is_some(), again, "{status}");
        }
        assert!(judge(config, |_| testing::failed_attempt(1, Failure::Connect)).is_some());
        assert!(judge(config, |_| testing::failed_attempt(1, Failure::Timeout)).is_none());
    }

    #[test]
    fn attempts_are_counted_with_the_first() {
        let config = r#"{"attempts": 3}"#;
        for (number, again) in [(1, true), (2, true), (3, false), (4, false)] {
            let pause = judge(config, |needs| testing::attempt_for(needs, number, 503, &[]));
            assert_eq!(pause.is_some(), again, "{number}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let config = r#"{"attempts": 10, "backoff": "20ms..100ms"}"#;
        let pauses: Vec<_> = (1..=5)
            .map(|n| judge(config, |needs| testing::attempt_for(needs, n, 503, &[])).unwrap())
            .collect();
        assert_eq!(pauses, [20, 40, 80, 100, 100]);
    }

    #[test]
    fn the_jitter_is_full() {
        let (filter, needs) = testing::configure(RetryPolicy::configure, "{}").unwrap();
        testing::host(|host| host.random = [0].into());
        let verdict = filter.judge(&mut testing::attempt_for(&needs, 2, 503, &[]));
        assert_eq!(verdict, Verdict::Again { after_ms: 0, elsewhere: true });
    }

    #[test]
    fn retry_after_is_respected_up_to_its_bound() {
        // The date is 2 s after the wall clock.
        testing::host(|host| host.wall_ms = 784_111_775_000);
        let config = r#"{"max-retry-after": "3s", "backoff": "10ms..10ms"}"#;
        let table = [
            ("0", Some(10)),
            ("3", Some(3_010)),
            ("4", None),
            ("99999999999999999999", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(2_010)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(2_010)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(10)),
            ("Sun, 06 Nov 2033 08:49:37 GMT", None),
            ("soon", Some(10)),
            ("-1", Some(10)),
            ("1.5", Some(10)),
        ];
        for (value, pause) in table {
            let fields = [("retry-after", value)];
            let judged = judge(config, |needs| testing::attempt_for(needs, 1, 503, &fields));
            assert_eq!(judged, pause, "{value}");
        }
    }

    #[test]
    fn no_pause_goes_beyond_the_deadline() {
        let config = r#"{"backoff": "100ms..100ms"}"#;
        let remaining = |remaining_ms| {
            move |needs: &Needs| {
                let mut attempt = testing::attempt_for(needs, 1, 503, &[]);
                attempt.remaining_ms = remaining_ms;
                attempt
            }
        };
        assert_eq!(judge(config, remaining(101)), Some(100));
        assert_eq!(judge(config, remaining(100)), None);
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        let table = [
            (r#"{"attempts": 0}"#, "`attempts` is 0"),
            (r#"{"attempts": 11}"#, "`attempts` is 11"),
            (r#"{"on": []}"#, "`on` is empty"),
            (r#"{"on": ["5xx", "6xx"]}"#, "`on[1]`: `6xx` is not known"),
            (r#"{"on": ["99"]}"#, "`on[0]`: `99` is not known"),
            (r#"{"backoff": "25ms"}"#, "`backoff`: `25ms` is no range"),
            (r#"{"backoff": "2s..1s"}"#, "`backoff`: `2s..1s` ends before it begins"),
            (r#"{"backoff": "1..2s"}"#, "`backoff`: `1` is no duration"),
            (r#"{"max-retry-after": 3}"#, "`max-retry-after`: invalid type"),
            (r#"{"max-retry-after": "3 s"}"#, "`max-retry-after`: `3 s` is no duration"),
        ];
        for (config, message) in table {
            let refused = testing::configure(RetryPolicy::configure, config).unwrap_err();
            assert!(refused.starts_with(message), "{refused}");
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        testing::assert_schema(RetryPolicy::configure, include_str!("../schema.json"));
    }
}
