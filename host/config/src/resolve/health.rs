//! `health`, `outlier`, `circuit` and `concurrency` of an upstream, `hedge` of a route.

use std::{ops::RangeInclusive, time::Duration};

use edgewit_model::{
    Circuit, Concurrency, Health, HealthKind, Hedge, HttpHealth, Outlier, PANIC_PERCENT,
    SuccessRate,
};
use http::uri::{Authority, PathAndQuery};

use super::{Cx, matcher};
use crate::{
    code,
    raw::{self, Amount, At, Percent},
};

/// Checks more often than this are load, not news.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

const MOST_IN_A_ROW: u64 = 1_000;
const MOST_REQUESTS: u64 = 1_000_000;
const MOST_STATUSES: usize = 100;

pub(super) fn health(raw: Option<&At<raw::Health>>, cx: &mut Cx<'_, '_>) -> Option<Health> {
    let At { value: raw, span } = raw?;
    let kind = match (&raw.path, raw.tcp.as_ref().is_some_and(|tcp| tcp.value)) {
        (Some(path), false) => HealthKind::Http(http(raw, path, cx)?),
        (None, true) => tcp(raw, cx),
        _ => {
            let label = "such as `path = \"/healthz\"`";
            cx.hint(code::INVALID_HEALTH, span, "a check has either `path` or `tcp = true`", label);
            return None;
        }
    };
    let default = Health::new(kind);
    let interval = cx.time(&raw.interval, default.interval);
    if let Some(at) = raw.interval.as_ref().filter(|_| interval < SHORTEST_INTERVAL) {
        cx.error(code::INVALID_HEALTH, &at.span, "checks are at least `100ms` apart");
    }
    Some(Health {
        interval,
        timeout: cx.time(&raw.timeout, default.timeout),
        unhealthy_after: cx.count(&raw.unhealthy_after, 1..=MOST_IN_A_ROW, default.unhealthy_after),
        healthy_after: cx.count(&raw.healthy_after, 1..=MOST_IN_A_ROW, default.healthy_after),
        kind: default.kind,
    })
}

fn tcp(raw: &raw::Health, cx: &mut Cx<'_, '_>) -> HealthKind {
    let host = raw.host.as_ref().map(|at| ("host", &at.span));
    let status = raw.status.as_ref().map(|at| ("status", &at.span));
    for (key, span) in host.into_iter().chain(status) {
        let message = format!("`{key}` has no meaning for a connection");
        cx.error(code::INVALID_HEALTH, span, message);
    }
    HealthKind::Tcp
}

fn http(raw: &raw::Health, path: &At<String>, cx: &mut Cx<'_, '_>) -> Option<HttpHealth> {
    let text = path.value.as_str();
    let plain = text.split('?').next().unwrap_or(text);
    let parsed = text.parse::<PathAndQuery>().ok();
    let parsed = parsed.filter(|_| text.starts_with('/') && matcher::is_path(plain));
    let Some(parsed) = parsed else {
        let message = format!("`{text}` is no path");
        cx.hint(code::INVALID_HEALTH, &path.span, message, "expected something like `/healthz`");
        return None;
    };
    let mut http = HttpHealth::new(parsed);
    if let Some(host) = &raw.host {
        match host.value.parse::<Authority>() {
            Ok(authority) if !host.value.contains('@') => http.host = Some(authority),
            _ => cx.error(code::INVALID_HEALTH, &host.span, format!("`{}` is no host", host.value)),
        }
    }
    if let Some(list) = &raw.status {
        http.statuses = statuses(list, cx);
    }
    Some(http)
}

fn statuses(list: &At<Vec<At<String>>>, cx: &mut Cx<'_, '_>) -> Vec<RangeInclusive<u16>> {
    if list.value.is_empty() {
        cx.error(code::INVALID_HEALTH, &list.span, "without a status nothing is healthy");
    }
    let mut out = Vec::new();
    for at in cx.bounded(list, MOST_STATUSES, "statuses") {
        match range(&at.value) {
            Some(range) => out.push(range),
            None => {
                let message =
                    format!("`{}` is no status; use a number from 200 to 599, or 2xx", at.value);
                cx.error(code::INVALID_HEALTH, &at.span, message);
            }
        }
    }
    out
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (2..=5).contains(class))?;
        return Some(class * 100..=class * 100 + 99);
    }
    let status: u16 = text.parse().ok().filter(|status| (200..=599).contains(status))?;
    Some(status..=status)
}

pub(super) fn outlier(raw: Option<&At<raw::Outlier>>, cx: &mut Cx<'_, '_>) -> Outlier {
    let Some(At { value: raw, .. }) = raw else { return Outlier::default() };
    let default = Outlier::full();
    let eject = cx.time(&raw.eject, default.eject);
    let eject_at_most = cx.time(&raw.eject_at_most, default.eject_at_most.max(eject));
    if let Some(at) = raw.eject_at_most.as_ref().filter(|_| eject > eject_at_most) {
        let message = "the first ejection is longer than the longest";
        cx.error(code::INVALID_HEALTH, &at.span, message);
    }
    let streak = 0..=MOST_IN_A_ROW;
    Outlier {
        consecutive_connects: cx.count(
            &raw.consecutive_connects,
            streak.clone(),
            default.consecutive_connects,
        ),
        consecutive_failures: cx.count(
            &raw.consecutive_failures,
            streak.clone(),
            default.consecutive_failures,
        ),
        consecutive_5xx: cx.count(&raw.consecutive_5xx, streak, default.consecutive_5xx),
        success_rate: raw.success_rate.as_ref().map(|at| success_rate(&at.value, cx)),
        interval: cx.time(&raw.interval, default.interval),
        eject,
        eject_at_most,
        max_ejected_percent: cx.amount(&raw.max_ejected).unwrap_or(default.max_ejected_percent),
    }
}

fn success_rate(raw: &raw::SuccessRate, cx: &mut Cx<'_, '_>) -> SuccessRate {
    let default = SuccessRate::default();
    SuccessRate {
        hosts: cx.count(&raw.hosts, 2..=1_024, default.hosts),
        requests: cx.count(&raw.requests, 1..=MOST_REQUESTS, default.requests),
        deviation_permille: cx.count(&raw.deviation, 0..=100_000, default.deviation_permille),
    }
}

pub(super) fn panic(raw: &Option<At<Amount<Percent>>>, cx: &mut Cx<'_, '_>) -> u32 {
    cx.amount(raw).unwrap_or(PANIC_PERCENT)
}

pub(super) fn circuit(raw: Option<&At<raw::Circuit>>, cx: &mut Cx<'_, '_>) -> Circuit {
    let default = Circuit::default();
    let Some(At { value: raw, .. }) = raw else { return default };
    Circuit {
        max_requests: cx.count(&raw.max_requests, 1..=MOST_REQUESTS, default.max_requests),
        max_pending: cx.count(&raw.max_pending, 0..=MOST_REQUESTS, default.max_pending),
        max_wait: cx.time(&raw.max_wait, default.max_wait),
        max_retries: cx.count(&raw.max_retries, 0..=MOST_REQUESTS, default.max_retries),
        max_connections: raw
            .max_connections
            .is_some()
            .then(|| cx.count(&raw.max_connections, 1..=MOST_REQUESTS, 1)),
    }
}

pub(super) fn concurrency(
    raw: Option<&At<raw::Concurrency>>,
    cx: &mut Cx<'_, '_>,
) -> Option<Concurrency> {
    let At { value: raw, span } = raw?;
    let default = Concurrency::default();
    let min = cx.count(&raw.min, 1..=MOST_REQUESTS, default.min);
    let max = cx.count(&raw.max, 1..=MOST_REQUESTS, default.max.max(min));
    if min > max {
        cx.error(code::INVALID_HEALTH, span, "`min` is larger than `max`");
    }
    let recalibrate = cx.time(&raw.recalibrate, default.recalibrate);
    let adaptive = raw.adaptive.as_ref().is_some_and(|at| at.value);
    adaptive.then_some(Concurrency { min, max, recalibrate })
}

pub(super) fn hedge(raw: Option<&At<raw::Hedge>>, cx: &mut Cx<'_, '_>) -> Option<Hedge> {
    let At { value: raw, span } = raw?;
    if raw.after.is_none() {
        cx.error(code::MISSING_KEY, span, "missing key `after`");
    }
    let most = match &raw.most {
        Some(at) if !(1..=3).contains(&at.value) => {
            let message = format!("`most` is 1 to 3, not {}", at.value);
            cx.error(code::INVALID_RETRY, &at.span, message);
            1
        }
        at => at.as_ref().map_or(1, |at| u32::try_from(at.value).unwrap_or(1)),
    };
    Some(Hedge { after: cx.time(&raw.after, Duration::from_millis(1)), most })
}
