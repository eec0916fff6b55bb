//! The phase `telemetry`: writes what happened into the log and into a metric.

use edgewit_sdk::{DeclaredFact, Fact, Needs, Request, Summary, log, metrics};
use serde::Deserialize;

/// Records.
pub struct Recorder {
    path: DeclaredFact,
}

/// Nothing to configure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Recorder {
    fn configure(_: Config, needs: &mut Needs) -> Result<Self, String> {
        Ok(Recorder { path: needs.fact(Fact::Path) })
    }

    fn on_request(&self, request: &mut Request) {
        request.state.set("seen");
    }

    fn record(&self, summary: &Summary) {
        let path = summary.get(self.path);
        let path = path.as_ref().and_then(|path| path.text()).unwrap_or("none");
        let state = String::from_utf8_lossy(summary.state.bytes()).into_owned();
        let status = summary.status.to_string();
        let ending = format!("{:?}", summary.ending);
        log::info(format!(
            "recorded path={path} status={status} ending={ending} attempts={} in={} out={} state={state}",
            summary.attempts, summary.request_bytes, summary.response_bytes
        ));
        metrics::add("recorded_total", &[("status", &status), ("ending", &ending)], 1);
    }
}

edgewit_sdk::export!(Recorder: lifecycle, request, telemetry);
