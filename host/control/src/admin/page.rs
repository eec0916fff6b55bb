//! What the administration endpoint has to say.

use std::sync::Arc;

use bytes::Bytes;
use edgewit_model::PluginName;
use edgewit_telemetry::{METRICS_CONTENT_TYPE, Metrics, PluginUsage};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::{Either, Full};
use hyper::body::Body;
use serde::Serialize;

use super::{
    Answer,
    target::{Page, Target, Write},
    viewer::{self, Cut, Viewers},
    write::{Carry, Writes},
};
use crate::{
    status::Status,
    usage::UsageView,
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
    viewers: Viewers,
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
        let viewers = Viewers::new(&status, &metrics, viewer::PATIENCE);
        let writes = Writes::new(carry, Arc::clone(&status));
        Arc::new(Self { metrics, status, versions, measure, largest, writes, viewers })
    }

    /// With viewers that have to be faster.
    #[cfg(test)]
    pub(super) fn with_patience(self: Arc<Self>, patience: std::time::Duration) -> Arc<Self> {
        let viewers = Viewers::new(&self.status, &self.metrics, patience);
        let pages = Arc::into_inner(self).expect("nobody has it yet");
        Arc::new(Self { viewers, ..pages })
    }

    /// The answer to a request that was found to be meant for us.
    pub(super) async fn answer<B>(&self, request: Request<B>, cut: Cut) -> Response<Answer>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = match Target::parse(request.method(), request.uri().path()) {
            Ok(Target::Read(Page::Events)) if Viewers::is_wanted(request.headers()) => {
                let stream = self.viewers.open(request.headers(), cut);
                stream.map(|stream| page(Either::Right(stream), "text/event-stream"))
            }
            Ok(Target::Read(page)) => self.read(page).map(|page| page.map(Either::Left)),
            Ok(Target::Write(write)) => {
                self.write(request, write).await.map(|page| page.map(Either::Left))
            }
            Err(problem) => Err(problem),
        };
        answer.unwrap_or_else(|problem| problem.into_response().map(Either::Left))
    }

    /// Puts down that a request which was not meant for us wanted to change something.
    pub(super) fn tell_refused<B>(&self, request: &Request<B>, problem: &Problem) {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            self.writes.tell_refused(request.uri().path(), None, problem);
        }
    }

    fn read(&self, page: Page) -> Result<Response<Full<Bytes>>, Problem> {
        Ok(match page {
            Page::Live => plain("alive\n"),
            Page::Ready if self.status.is_ready() => plain("ready\n"),
            Page::Ready => return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining")),
            Page::Metrics => {
                (self.measure)();
                self::text(self.metrics.text(), METRICS_CONTENT_TYPE)
            }
            Page::Status => json(&self.status.view()),
            Page::Events => {
                let events = self.status.events().latest(usize::MAX);
                json(&serde_json::json!({ "events": events }))
            }
            Page::Plugins => {
                let (all, mut usages) = (self.versions.list(), self.metrics.usages());
                let mut usage =
                    |name: &PluginName| usages.remove(name.as_str()).unwrap_or_default();
                let all: Vec<_> =
                    all.iter().map(|(name, v)| self.plugin(name, v, usage(name))).collect();
                json(&serde_json::json!({ "plugins": all }))
            }
            Page::Plugin(name) => {
                let usage = self.metrics.usage(name.as_str());
                json(&self.plugin(&name, &self.versions_of(&name)?, usage))
            }
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

    fn plugin(
        &self,
        name: &PluginName,
        versions: &[Version],
        usage: PluginUsage,
    ) -> serde_json::Value {
        let (standing, usage) = (self.versions.standing(name), UsageView::from(usage));
        serde_json::json!({
            "name": name, "standing": standing, "usage": usage, "versions": versions,
        })
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

    /// What is wrong.
    pub(super) fn detail(&self) -> &str {
        &self.detail
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

fn plain(body: &'static str) -> Response<Full<Bytes>> {
    text(body, "text/plain; charset=utf-8")
}

fn json(body: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec_pretty(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            text(bytes, "application/json")
        }
        Err(error) => {
            tracing::error!(%error, "an answer of the administration endpoint has no JSON");
            let mut response = plain("internal error\n");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

fn text(body: impl Into<Bytes>, content_type: &'static str) -> Response<Full<Bytes>> {
    page(Full::new(body.into()), content_type)
}

fn page<T>(body: T, content_type: &'static str) -> Response<T> {
    let response = Response::new(body);
    with(with(response, CONTENT_TYPE, content_type), CACHE_CONTROL, "no-store")
}

fn with<T>(mut response: Response<T>, name: http::HeaderName, value: &'static str) -> Response<T> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
