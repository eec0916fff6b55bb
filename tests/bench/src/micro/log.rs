//! A line of the access log, from its values into the worker's buffer.

use std::{
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use edgewit_model::{AccessLog as Config, AccessLogFormat, LogTarget};
use edgewit_telemetry::{AccessLog, FilterLine, Line, Metrics, enter_worker};

use super::Part;

pub(super) fn parts() -> Result<Vec<Part>> {
    enter_worker(0);
    Ok(vec![
        part("access log, JSON", AccessLogFormat::Json, 0)?,
        part("access log, JSON with 5 filters", AccessLogFormat::Json, 5)?,
        part("access log, common", AccessLogFormat::Common, 0)?,
    ])
}

fn part(name: &str, format: AccessLogFormat, filters: usize) -> Result<Part> {
    let metrics = Metrics::new(1);
    let log =
        AccessLog::open(&Config { format, target: LogTarget::File("/dev/null".into()) }, &metrics)?;
    let time = SystemTime::now();
    Ok(Part::new(name, move || {
        let filter = FilterLine { name: "headers", us: 2, fuel: 1_234, outcome: "proceed" };
        log.write(&Line {
            time,
            request_id: "0192f3a4b5c6d7e8f90a1b2c3d4e5f60",
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
            listener: "web",
            client: Ipv4Addr::LOCALHOST.into(),
            subject: None,
            scheme: "http",
            version: "1.1",
            method: "GET",
            authority: "api.example.com",
            path: "/service/orders/1",
            user_agent: Some(b"bench"),
            status: 200,
            ending: "complete",
            error: None,
            duration: Duration::from_micros(1_234),
            request_bytes: 0,
            response_bytes: 1_024,
            route: Some("orders"),
            upstream: Some("origin"),
            tries: 1,
            filters: (0..filters).map(|_| FilterLine { ..filter_copy(&filter) }).collect(),
            client_identity: None,
        });
    }))
}

fn filter_copy<'a>(line: &FilterLine<'a>) -> FilterLine<'a> {
    FilterLine { name: line.name, us: line.us, fuel: line.fuel, outcome: line.outcome }
}
