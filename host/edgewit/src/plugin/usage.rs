//! Limits and what is really used, for people.

use serde_json::Value;

use super::inspect::size;
use crate::screen::table;

/// A row for each of fuel, time and memory: the limit, then what calls used.
pub(crate) fn limits_and_usage(limits: &Value, usage: &Value) -> String {
    let rows: Vec<_> = RESOURCES.iter().map(|resource| row(resource, limits, usage)).collect();
    table(&["", "LIMIT", "P50", "P99", "MAX"], &rows)
}

/// The limits alone.
pub(crate) fn limits(limits: &Value) -> String {
    let limit = |r: &Resource| format!("{} {}", r.name, (r.words)(number(&limits[r.limit])));
    RESOURCES.iter().map(limit).collect::<Vec<_>>().join(", ")
}

/// A few words for a list; empty if it was never called.
pub(crate) fn brief(limits: &Value, usage: &Value) -> String {
    if number(&usage["fuel"]["count"]) == 0 {
        return String::new();
    }
    let part = |r: &Resource| {
        let used = (r.words)(number(&usage[r.usage]["p99"]));
        format!("{used}/{}", (r.words)(number(&limits[r.limit])))
    };
    RESOURCES.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// What has a limit and is measured.
struct Resource {
    name: &'static str,
    limit: &'static str,
    usage: &'static str,
    words: fn(u64) -> String,
}

const RESOURCES: [Resource; 3] = [
    Resource { name: "fuel", limit: "fuel", usage: "fuel", words: count },
    Resource { name: "time", limit: "time-ns", usage: "time-ns", words: time },
    Resource { name: "memory", limit: "memory-bytes", usage: "memory-bytes", words: size },
];

fn row(resource: &Resource, limits: &Value, usage: &Value) -> Vec<String> {
    let words = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        some => (resource.words)(number(some)),
    };
    let spread = &usage[resource.usage];
    let called = number(&spread["count"]) > 0;
    let used = |key: &str| if called { words(&spread[key]) } else { "-".to_owned() };
    let limit = words(&limits[resource.limit]);
    vec![resource.name.to_owned(), limit, used("p50"), used("p99"), used("max")]
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// A number of things for people.
fn count(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1}k", n as f64 / 1e3),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

/// A number of nanoseconds for people.
fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{:.1}µs", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}ms", ns as f64 / 1e6),
        _ => format!("{:.1}s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> (Value, Value) {
        let limits = json!({ "fuel": 40_000_000, "time-ns": 50_000_000, "memory-bytes": 16 << 20 });
        let spread = |p50: u64, p99: u64, max: u64| json!({ "count": 9, "p50": p50, "p99": p99, "max": max });
        let usage = json!({
            "fuel": spread(700, 18_400, 1_234_567),
            "time-ns": spread(7_000, 62_000, 1_100_000),
            "memory-bytes": spread(1 << 20, 1 << 20, 3 << 19),
        });
        (limits, usage)
    }

    #[test]
    fn what_is_used_stands_beside_its_limit() {
        let (limits, usage) = values();
        let expected = "        LIMIT     P50      P99      MAX\n\
                        fuel    40.0M     700      18.4k    1.2M\n\
                        time    50.0ms    7.0µs    62.0µs   1.1ms\n\
                        memory  16.0 MiB  1.0 MiB  1.0 MiB  1.5 MiB";
        assert_eq!(limits_and_usage(&limits, &usage), expected);
        assert_eq!(brief(&limits, &usage), "18.4k/40.0M 62.0µs/50.0ms 1.0 MiB/16.0 MiB");
        assert_eq!(super::limits(&limits), "fuel 40.0M, time 50.0ms, memory 16.0 MiB");
    }

    #[test]
    fn what_was_never_called_used_nothing_that_is_known() {
        let (limits, _) = values();
        let said = limits_and_usage(&limits, &Value::Null);
        assert!(said.contains("fuel    40.0M     -    -    -"), "{said}");
        assert_eq!(brief(&limits, &Value::Null), "");
    }
}
