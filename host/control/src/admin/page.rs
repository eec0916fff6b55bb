//! What the administration endpoint has to say.

use std::sync::Arc;

use bytes::Bytes;
use edgewit_telemetry::{METRICS_CONTENT_TYPE, Metrics};
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use serde::Serialize;

use crate::{status::Status, versions::Versions};

/// Everything that can be asked for.
pub(crate) struct Pages {
    router: matchit::Router<Page>,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    versions: Arc<Versions>,
    measure: Box<Measure>,
}

/// Brings up to date what is only known when somebody asks.
pub(crate) type Measure = dyn Fn() + Send + Sync;

#[derive(Debug, Clone, Copy)]
enum Page {
    /// Is the process alive?
    Live,
    /// Should it get traffic?
    Ready,
    Metrics,
    Status,
    Plugins,
}

const PAGES: [(&str, Page); 5] = [
    ("/livez", Page::Live),
    ("/readyz", Page::Ready),
    ("/metrics", Page::Metrics),
    ("/v1/status", Page::Status),
    ("/v1/plugins", Page::Plugins),
];

impl Pages {
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        versions: Arc<Versions>,
        measure: Box<Measure>,
    ) -> Arc<Self> {
        let mut router = matchit::Router::new();
        for (path, page) in PAGES {
            router.insert(path, page).expect("the paths of the table differ");
        }
        Arc::new(Self { router, metrics, status, versions, measure })
    }

    /// The answer to a request that was found to be meant for us.
    pub(super) fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let Ok(found) = self.router.at(path) else {
            let known: Vec<_> = PAGES.iter().map(|(path, _)| *path).collect();
            let detail = format!("there are {}", known.join(", "));
            return Problem::new(StatusCode::NOT_FOUND, detail).into_response();
        };
        if *method != Method::GET && *method != Method::HEAD {
            let detail = "this endpoint only reads";
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
            return with(problem.into_response(), ALLOW, "GET, HEAD");
        }
        match found.value {
            Page::Live => text("alive\n"),
            Page::Ready if self.status.is_ready() => text("ready\n"),
            Page::Ready => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining").into_response()
            }
            Page::Metrics => {
                (self.measure)();
                page(self.metrics.text(), METRICS_CONTENT_TYPE)
            }
            Page::Status => json(&self.status.view()),
            Page::Plugins => json(&self.plugins()),
        }
    }

    fn plugins(&self) -> serde_json::Value {
        let plugin = |(name, versions)| serde_json::json!({ "name": name, "versions": versions });
        let all: Vec<_> = self.versions.list().into_iter().map(plugin).collect();
        serde_json::json!({ "plugins": all })
    }
}

/// An answer that is no success, after RFC 9457.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into() }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = with(json(&self), CONTENT_TYPE, "application/problem+json");
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        response
    }
}

fn text(body: &'static str) -> Response<Full<Bytes>> {
    page(body, "text/plain; charset=utf-8")
}

fn json(body: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec_pretty(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            page(bytes, "application/json")
        }
        Err(error) => {
            tracing::error!(%error, "an answer of the administration endpoint has no JSON");
            let mut response = text("internal error\n");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

fn page(body: impl Into<Bytes>, content_type: &'static str) -> Response<Full<Bytes>> {
    let response = Response::new(Full::new(body.into()));
    with(with(response, CONTENT_TYPE, content_type), CACHE_CONTROL, "no-store")
}

fn with(
    mut response: Response<Full<Bytes>>,
    name: http::HeaderName,
    value: &'static str,
) -> Response<Full<Bytes>> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
