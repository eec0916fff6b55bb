//! Limits how often a client may ask.
//!
//! The buckets are the host's, so that all instances count together. Start reading at [`RateLimit`]'s `on_request`.

mod bucket;

mod limit;

use bucket::Key;
use edgewit_sdk::{Answer, DeclaredFact, Fact, Needs, Request, rate};
use limit::Rate;
use serde::Deserialize;

/// One limit, for each value of a key.
#[derive(Debug)]
pub struct RateLimit {
    rate: Rate,
    key: Key,
    route: Option<DeclaredFact>,
    missing: Missing,
}

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    rate: String,
    #[serde(default)]
    burst: Option<u32>,
    #[serde(default = "default_key")]
    key: String,
    #[serde(default = "default_ipv6_prefix")]
    ipv6_prefix: u8,
    #[serde(default)]
    per_route: bool,
    #[serde(default)]
    missing: Missing,
}

/// What becomes of a request that has no key, for example because its header is not there.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Missing {
    /// All of them share one bucket.
    #[default]
    Share,
    /// They are not limited.
    Pass,
    /// 400.
    Refuse,
}

impl RateLimit {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        Ok(RateLimit {
            rate: Rate::check(&config.rate, config.burst)?,
            key: Key::parse(&config.key, config.ipv6_prefix, needs)?,
            route: config.per_route.then(|| needs.fact(Fact::Route)),
            missing: config.missing,
        })
    }

    fn on_request(&self, request: &mut Request) -> Result<Option<Answer>, String> {
        let value = match (self.key.value(request), self.missing) {
            (Some(value), _) => value,
            (None, Missing::Share) => String::new(),
            (None, Missing::Pass) => return Ok(None),
            (None, Missing::Refuse) => {
                return Ok(Some(Answer::problem(
                    400,
                    "what this request is counted by is missing",
                )));
            }
        };
        let decision = rate::take(&self.bucket(request, &value), self.rate.limit, 1)?;
        Ok((!decision.allowed).then(|| self.refusal(&decision)))
    }

    /// The buckets belong to the plugin, which may run with several configurations: each counts for itself.
    fn bucket(&self, request: &Request, value: &str) -> String {
        let mut bucket = self.rate.name();
        if let Some(route) = self.route.and_then(|key| request.get(key)) {
            bucket.push('|');
            bucket.push_str(route.text().unwrap_or_default());
        }
        bucket.push('|');
        bucket.push_str(self.key.kind());
        bucket.push('|');
        bucket.push_str(value);
        bucket::shortened(bucket)
    }

    /// RFC 6585 4, with the fields of draft-ietf-httpapi-ratelimit-headers.
    fn refusal(&self, decision: &rate::Decision) -> Answer {
        let seconds = decision.retry_after_ms.div_ceil(1_000).max(1);
        Answer::problem(429, "too many requests")
            .field("retry-after", seconds.to_string())
            .field("ratelimit-policy", self.rate.policy())
            .field("ratelimit", format!("\"default\";r={};t={seconds}", decision.remaining))
    }
}

edgewit_sdk::export!(RateLimit: lifecycle, request);

fn default_key() -> String {
    "client-address".into()
}

/// What a provider gives to one customer, so that it takes more than another address to be somebody else.
fn default_ipv6_prefix() -> u8 {
    64
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgewit_sdk::testing;

    type Fields<'a> = &'a [(&'a str, &'a str)];

    struct Gate(RateLimit, Needs);

    impl Gate {
        fn new(config: &str) -> Self {
            let (filter, needs) = testing::configure(RateLimit::configure, config).unwrap();
            Gate(filter, needs)
        }

        /// The status of the answer, 0 if the request goes on.
        fn ask(&self, address: &str, fields: Fields) -> u16 {
            self.answer(address, fields).map_or(0, |answer| answer.status)
        }

        fn answer(&self, address: &str, fields: Fields) -> Option<Answer> {
            let mut builder = testing::request_for(&self.1)
                .fact(Fact::ClientAddress, address)
                .fact(Fact::Route, "orders");
            for (name, value) in fields {
                builder = builder.field(name, value);
            }
            self.0.on_request(&mut builder.build()).unwrap()
        }
    }

    #[test]
    fn the_burst_goes_through_then_the_rate() {
        let gate = Gate::new(r#"{"rate": "2/s", "burst": 3}"#);
        let statuses: Vec<_> = (0..5).map(|_| gate.ask("192.0.2.1", &[])).collect();
        assert_eq!(statuses, [0, 0, 0, 429, 429]);
        assert_eq!(gate.ask("192.0.2.2", &[]), 0);
        testing::host(|host| host.monotonic_ms += 500);
        assert_eq!([gate.ask("192.0.2.1", &[]), gate.ask("192.0.2.1", &[])], [0, 429]);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let gate = Gate::new(r#"{"rate": "1/m"}"#);
        gate.ask("192.0.2.1", &[]);
        let answer = gate.answer("192.0.2.1", &[]).unwrap();
        assert_eq!(answer.status, 429);
        assert_eq!(answer.get("retry-after"), Some(&b"60"[..]));
        assert_eq!(answer.get("ratelimit-policy"), Some(&b"\"default\";q=1;w=60"[..]));
        assert_eq!(answer.get("ratelimit"), Some(&b"\"default\";r=0;t=60"[..]));
        assert_eq!(answer.get("content-type"), Some(&b"application/problem+json"[..]));
    }

    #[test]
    fn what_a_request_is_counted_by_is_configured() {
        let long = "x".repeat(2_000);
        let table: [(&str, Fields, Fields, bool); 7] = [
            ("header:x-user", &[("x-user", "a")], &[("x-user", "b")], false),
            ("header:x-user", &[("x-user", "a")], &[("x-user", "a")], true),
            ("header:x-user", &[("x-user", "a"), ("x-user", "b")], &[("x-user", "a")], false),
            ("header:x-user", &[], &[("x-other", "a")], true),
            ("header:x-user", &[("x-user", &long)], &[("x-user", &long[1..])], false),
            ("global", &[("x-user", "a")], &[("x-user", "b")], true),
            ("route", &[("x-user", "a")], &[("x-user", "b")], true),
        ];
        for (key, first, second, same) in table {
            testing::host(|host| host.monotonic_ms += 3_600_000);
            let gate = Gate::new(&format!(r#"{{"rate": "1/h", "key": "{key}"}}"#));
            assert_eq!(gate.ask("", first), 0);
            assert_eq!(gate.ask("", second) == 429, same, "{key} {first:?} {second:?}");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let gate = Gate::new(r#"{"rate": "1/h"}"#);
        let asked = ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::", "2001:db8:0:1::1"];
        assert_eq!(asked.map(|address| gate.ask(address, &[])), [0, 429, 429, 0]);
        let single = Gate::new(r#"{"rate": "2/h", "ipv6-prefix": 128, "burst": 1}"#);
        assert_eq!(asked.map(|address| single.ask(address, &[])), [0, 0, 0, 0]);
    }

    #[test]
    fn a_missing_key_is_treated_as_configured() {
        let table = [("share", [0, 429]), ("pass", [0, 0]), ("refuse", [400, 400])];
        for (missing, statuses) in table {
            testing::host(|host| host.monotonic_ms += 3_600_000);
            let gate = Gate::new(&format!(
                r#"{{"rate": "1/h", "key": "subject", "missing": "{missing}"}}"#
            ));
            assert_eq!([gate.ask("", &[]), gate.ask("", &[])], statuses, "{missing}");
        }
    }

    #[test]
    fn two_configurations_count_for_themselves() {
        let [a, b] = ["1/h", "1/m"].map(|rate| Gate::new(&format!(r#"{{"rate": "{rate}"}}"#)));
        assert_eq!([a.ask("192.0.2.1", &[]), b.ask("192.0.2.1", &[])], [0, 0]);
    }

    #[test]
    fn a_host_without_buckets_is_a_failure() {
        let Gate(filter, needs) = Gate::new(r#"{"rate": "1/s"}"#);
        testing::host(|host| host.unavailable = true);
        assert!(filter.on_request(&mut testing::request_for(&needs).build()).is_err());
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        let table = [
            (r#"{}"#, "missing field `rate`"),
            (r#"{"rate": "50"}"#, "`rate`: `50` is no rate"),
            (r#"{"rate": "0/s"}"#, "`rate`: `0/s` is no rate"),
            (r#"{"rate": "5/d"}"#, "`rate`: `5/d` is no rate"),
            (r#"{"rate": "5/s", "burst": 0}"#, "`burst` is 0"),
            (r#"{"rate": "5/s", "key": "ip"}"#, "`key`: `ip` is not known"),
            (r#"{"rate": "5/s", "key": "header:a b"}"#, "`key`: `a b` is no name"),
            (r#"{"rate": "5/s", "ipv6-prefix": 129}"#, "`ipv6-prefix` is 129"),
            (r#"{"rate": "5/s", "missing": "drop"}"#, "`missing`: unknown variant `drop`"),
        ];
        for (config, message) in table {
            let refused = testing::configure(RateLimit::configure, config).unwrap_err();
            assert!(refused.starts_with(message), "{refused}");
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        testing::assert_schema(RateLimit::configure, include_str!("../schema.json"));
    }
}
