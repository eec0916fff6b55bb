//! What the administration endpoint has to say.

use std::sync::Arc;

use bytes::Bytes;
use edgewit_model::PluginName;
use edgewit_telemetry::{METRICS_CONTENT_TYPE, Metrics};
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::body::Body;
use serde::Serialize;

use super::{
    target::{Page, Target, Write},
    write::{Carry, Writes},
};
use crate::{
    status::Status,
    versions::{Version, Versions},
};

/// Everything that can be asked for.
pub(crate) struct Pages {
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    versions: Arc<Versions>,
    measure: Box<Measure>,
    largest: Box<Largest>,
    writes: Writes,
}

/// Brings up to date what is only known when somebody asks.
pub(crate) type Measure = dyn Fn() + Send + Sync;

impl Pages {
    pub(crate) fn new(
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        versions: Arc<Versions>,
        measure: Box<Measure>,
        largest: Box<Largest>,
        carry: Box<Carry>,
    ) -> Arc<Self> {
        Arc::new(Self { metrics, status, versions, measure, largest, writes: Writes::new(carry) })
    }

    /// The answer to a request that was found to be meant for us.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = match Target::parse(request.method(), request.uri().path()) {
            Ok(Target::Read(page)) => self.read(page),
            Ok(Target::Write(write)) => self.write(request, write).await,
            Err(problem) => Err(problem),
        };
        answer.unwrap_or_else(Problem::into_response)
    }

    fn read(&self, page: Page) -> Result<Response<Full<Bytes>>, Problem> {
        Ok(match page {
            Page::Live => text("alive\n"),
            Page::Ready if self.status.is_ready() => text("ready\n"),
            Page::Ready => return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining")),
            Page::Metrics => {
                (self.measure)();
                self::page(self.metrics.text(), METRICS_CONTENT_TYPE)
            }
            Page::Status => json(&self.status.view()),
            Page::Events => json(&serde_json::json!({ "events": self.status.events() })),
            Page::Plugins => {
                let all = self.versions.list();
                let all: Vec<_> = all.iter().map(|(name, v)| self.plugin(name, v)).collect();
                json(&serde_json::json!({ "plugins": all }))
            }
            Page::Plugin(name) => json(&self.plugin(&name, &self.versions_of(&name)?)),
            Page::Versions(name) => {
                json(&serde_json::json!({ "versions": self.versions_of(&name)? }))
            }
        })
    }

    async fn write<B>(
        &self,
        request: Request<B>,
        write: Write,
    ) -> Result<Response<Full<Bytes>>, Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let largest = match &write {
            Write::Upload(name) => (self.largest)(name),
            _ => 0,
        };
        let (status, done) = self.writes.answer(request, write, largest).await?;
        let mut response = json(&done);
        *response.status_mut() = status;
        Ok(response)
    }

    fn versions_of(&self, name: &PluginName) -> Result<Vec<Version>, Problem> {
        let found = self.versions.list().into_iter().find(|(known, _)| known == name);
        let (_, versions) = found.ok_or_else(|| {
            Problem::new(StatusCode::NOT_FOUND, format!("there is no plugin `{name}`"))
        })?;
        Ok(versions)
    }

    fn plugin(&self, name: &PluginName, versions: &[Version]) -> serde_json::Value {
        let standing = self.versions.standing(name);
        serde_json::json!({ "name": name, "standing": standing, "versions": versions })
    }
}

/// Bytes that a component of a plugin may have.
pub(crate) type Largest = dyn Fn(&PluginName) -> u64 + Send + Sync;

/// An answer that is no success, after RFC 9457.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    diagnostics: serde_json::Value,
    #[serde(skip)]
    allow: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem");
        Self {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            diagnostics: serde_json::Value::Null,
            allow: None,
        }
    }

    /// What is wrong, one by one.
    pub(super) fn diagnostics(self, diagnostics: serde_json::Value) -> Self {
        Self { diagnostics, ..self }
    }

    /// The methods that would be right.
    pub(super) fn allow(self, methods: &'static str) -> Self {
        Self { allow: Some(methods), ..self }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = with(json(&self), CONTENT_TYPE, "application/problem+json");
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        match self.allow {
            Some(methods) => with(response, ALLOW, methods),
            None => response,
        }
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
