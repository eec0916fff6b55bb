//! The series of the requests of one route.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use edgewit_model::RouteName;
use http::{Method, Version};

use crate::{
    families,
    metrics::{Histogram, Metrics},
    worker,
};

/// The series of the requests of one route, or of those that no route wanted.
///
/// Which statuses and methods will occur is not known before; each combination gets its series when it occurs first, and
/// each worker keeps the handles it has seen in a list of its own.
#[derive(Debug)]
pub struct RequestSeries {
    metrics: Arc<Metrics>,
    labels: Vec<(&'static str, String)>,
    seen: Box<[Mutex<Seen>]>,
    request_body: Histogram,
    response_body: Histogram,
}

/// Combinations that one worker has met.
type Seen = Vec<(Answered, Histogram)>;

/// What tells the requests of a route apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    method: &'static str,
    status: u16,
    https: bool,
    version: &'static str,
    error: Option<&'static str>,
}

/// Combinations for each route and worker. An upstream that answers with every number there is fills this, not the
/// memory.
const MAX_COMBINATIONS: usize = 200;

impl Answered {
    /// `status` is 0 if no head went out. `error` is a short word of a closed set, if the request failed.
    pub fn new(
        method: &Method,
        status: u16,
        https: bool,
        version: Version,
        error: Option<&'static str>,
    ) -> Self {
        let version = match version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        };
        Self { method: known_method(method), status, https, version, error }
    }
}

/// The name of a method if it is one of RFC 9110 or RFC 5789, else `_OTHER`, so that clients do not make series.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

impl RequestSeries {
    /// The series of a route with the pattern that matched; `None`: of the requests that no route wanted.
    pub fn new(metrics: &Arc<Metrics>, route: Option<(&RouteName, &str)>) -> Self {
        let mut labels = Vec::new();
        if let Some((route, pattern)) = route {
            labels.push(("http_route", pattern.to_owned()));
            labels.push(("edgewit_route", route.to_string()));
        }
        let borrowed = borrow(&labels);
        Self {
            seen: (0..metrics.shards()).map(|_| Mutex::default()).collect(),
            request_body: metrics.histogram(&families::SERVER_REQUEST_BODY, &borrowed),
            response_body: metrics.histogram(&families::SERVER_RESPONSE_BODY, &borrowed),
            metrics: Arc::clone(metrics),
            labels,
        }
    }

    /// Counts a request that ended. Sizes are bytes.
    pub fn record(
        &self,
        answered: Answered,
        duration: Duration,
        request_bytes: u64,
        response_bytes: u64,
    ) {
        self.request_body.observe(request_bytes);
        self.response_body.observe(response_bytes);
        let Some(seen) = self.seen.get(worker::shard()).or(self.seen.first()) else { return };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, histogram)) = seen.iter().find(|(known, _)| *known == answered) {
            return histogram.observe_duration(duration);
        }
        if seen.len() >= MAX_COMBINATIONS {
            // All further ones are one series, without a status of their own.
            let rest = Answered { status: 0, error: Some("_OTHER"), ..answered };
            return self.histogram(&rest).observe_duration(duration);
        }
        let histogram = self.histogram(&answered);
        histogram.observe_duration(duration);
        seen.push((answered, histogram));
    }

    fn histogram(&self, answered: &Answered) -> Histogram {
        let status = answered.status.to_string();
        let mut labels = vec![
            ("http_request_method", answered.method),
            ("http_response_status_code", status.as_str()),
            ("url_scheme", if answered.https { "https" } else { "http" }),
            ("network_protocol_version", answered.version),
        ];
        labels.extend(answered.error.map(|error| ("error_type", error)));
        labels.extend(borrow(&self.labels));
        self.metrics.histogram(&families::SERVER_REQUEST_DURATION, &labels)
    }
}

fn borrow<'a>(labels: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(status: u16) -> Answered {
        Answered::new(&Method::GET, status, true, Version::HTTP_2, None)
    }

    #[test]
    fn requests_are_told_apart_by_a_closed_set_of_labels() {
        let metrics = Metrics::new(1);
        let route = RouteName::new("orders").unwrap();
        let series = RequestSeries::new(&metrics, Some((&route, "/orders/{id}")));
        series.record(get(200), Duration::from_millis(3), 0, 100);
        let odd: Method = "BREW".parse().unwrap();
        let brewed = Answered::new(&odd, 503, false, Version::HTTP_11, Some("timeout"));
        series.record(brewed, Duration::from_millis(3), 0, 0);
        let text = metrics.text();
        for line in [
            r#"_count{http_request_method="GET",http_response_status_code="200",url_scheme="https",network_protocol_version="2",http_route="/orders/{id}",edgewit_route="orders"} 1"#,
            r#"_count{http_request_method="_OTHER",http_response_status_code="503",url_scheme="http",network_protocol_version="1.1",error_type="timeout",http_route="/orders/{id}",edgewit_route="orders"} 1"#,
            r#"http_server_response_body_size_bytes_sum{http_route="/orders/{id}",edgewit_route="orders"} 100"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        drop(series);
        assert!(!metrics.text().contains("orders"), "a route that is gone has no series");
    }

    #[test]
    fn odd_statuses_do_not_make_endless_series() {
        let metrics = Metrics::new(1);
        let series = RequestSeries::new(&metrics, None);
        for status in 100..1_000 {
            series.record(get(status), Duration::ZERO, 0, 0);
        }
        let count = metrics.text().matches("http_server_request_duration_seconds_count").count();
        assert!(count <= MAX_COMBINATIONS + 1, "{count}");
    }
}
