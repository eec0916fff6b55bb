//! Counts requests by route, method and status, and measures how long they take.
//!
//! Labels come from closed sets: routes of the configuration, known methods, statuses. Start reading at
//! [`AccessMetrics`]'s `record`.

use edgewit_sdk::telemetry::Ending;
use edgewit_sdk::{DeclaredFact, Fact, Needs, Summary, metrics};
use serde::Deserialize;

/// What is counted.
#[derive(Debug)]
pub struct AccessMetrics {
    route: DeclaredFact,
    method: Option<DeclaredFact>,
    status: StatusLabel,
}

/// What the operator writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    status: StatusLabel,
    #[serde(default = "default_method")]
    method: bool,
}

/// How much of the status becomes a label. Each value is another series, and a plugin may have 1,000.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusLabel {
    /// `2xx`.
    #[default]
    Class,
    /// `204`.
    Code,
}

impl AccessMetrics {
    fn configure(config: Config, needs: &mut Needs) -> Result<Self, String> {
        Ok(AccessMetrics {
            route: needs.fact(Fact::Route),
            method: config.method.then(|| needs.fact(Fact::Method)),
            status: config.status,
        })
    }

    fn record(&self, summary: &Summary) {
        let route = summary.get(self.route);
        let route = route.as_ref().and_then(|route| route.text()).unwrap_or("none");
        let code = summary.status.to_string();
        let status = match self.status {
            _ if summary.status == 0 => "none",
            StatusLabel::Class => class(summary.status),
            StatusLabel::Code => &code,
        };
        let mut labels = vec![("route", route), ("status", status)];
        let method = self.method.and_then(|method| summary.get(method));
        if self.method.is_some() {
            let method = method.as_ref().and_then(|method| method.text());
            labels.push(("method", known(method.unwrap_or_default())));
        }
        metrics::add("requests_total", &labels, 1);
        metrics::observe("request_seconds", &labels, summary.duration_us as f64 / 1e6);
        if let Some(ending) = cut(summary.ending) {
            metrics::add("cut_total", &[("route", route), ("ending", ending)], 1);
        }
    }
}

edgewit_sdk::export!(AccessMetrics: lifecycle, telemetry);

fn default_method() -> bool {
    true
}

fn class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "none",
    }
}

/// What a client sends as method is a label only if it is a known one.
fn known(method: &str) -> &str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    if KNOWN.contains(&method) { method } else { "_OTHER" }
}

/// How an exchange ended that did not end well.
fn cut(ending: Ending) -> Option<&'static str> {
    match ending {
        Ending::Complete => None,
        Ending::ClientGone => Some("client-gone"),
        Ending::UpstreamCut => Some("upstream-cut"),
        Ending::HostCut => Some("host-cut"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgewit_sdk::testing::{self, Sample};

    /// The samples that one exchange leaves.
    fn record(config: &str, method: &str, status: u16, ending: Ending) -> Vec<Sample> {
        let (filter, needs) = testing::configure(AccessMetrics::configure, config).unwrap();
        let mut summary = testing::request_for(&needs)
            .fact(Fact::Route, "orders")
            .fact(Fact::Method, method)
            .summary(status, 1_500_000);
        summary.ending = ending;
        filter.record(&summary);
        testing::host(|host| std::mem::take(&mut host.metrics))
    }

    #[test]
    fn an_exchange_is_counted_and_measured() {
        let samples = record("{}", "GET", 204, Ending::Complete);
        let summary: Vec<_> = samples.iter().map(|s| (s.name.as_str(), s.value)).collect();
        assert_eq!(summary, [("requests_total", 1.0), ("request_seconds", 1.5)]);
        for sample in &samples {
            assert_eq!(sample.label("route"), Some("orders"));
            assert_eq!(sample.label("status"), Some("2xx"));
            assert_eq!(sample.label("method"), Some("GET"));
        }
    }

    #[test]
    fn labels_are_as_configured_and_from_closed_sets() {
        let table = [
            ("{}", "GET", 503, Some("5xx"), Some("GET")),
            ("{}", "get", 0, Some("none"), Some("_OTHER")),
            (r#"{"status": "code"}"#, "PURGE", 503, Some("503"), Some("_OTHER")),
            (r#"{"status": "code", "method": false}"#, "GET", 0, Some("none"), None),
        ];
        for (config, method, code, status, label) in table {
            let samples = record(config, method, code, Ending::Complete);
            assert_eq!(samples[0].label("status"), status);
            assert_eq!(samples[0].label("method"), label);
        }
    }

    #[test]
    fn an_exchange_that_was_cut_says_by_whom() {
        let samples = record("{}", "GET", 200, Ending::UpstreamCut);
        assert_eq!(samples.last().unwrap().name, "cut_total");
        assert_eq!(samples.last().unwrap().label("ending"), Some("upstream-cut"));
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        let table = [
            (r#"{"status": "all"}"#, "`status`: unknown variant `all`, expected `class` or `code`"),
            (r#"{"path": true}"#, "`path`: unknown field `path`"),
        ];
        for (config, message) in table {
            let refused = testing::configure(AccessMetrics::configure, config).unwrap_err();
            assert!(refused.starts_with(message), "{refused}");
        }
    }

    #[test]
    fn the_schema_knows_every_key() {
        testing::assert_schema(AccessMetrics::configure, include_str!("../schema.json"));
    }
}
