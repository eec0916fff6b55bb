//! Requests that change something.
//!
//! A page in a browser can make the browser send requests to loopback addresses. It cannot set a header field of its own
//! without asking first (CORS), and this endpoint never says yes; so a change needs one. It also needs a content type that
//! no form can send, and no `origin`.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use edgewit_model::PluginName;
use http::{
    HeaderMap, Request, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN},
};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{page::Problem, target::Write};
use crate::{
    live::{Command, CommandError, Done},
    status::Status,
};

/// Has a command carried out.
pub(crate) type Carry = dyn Fn(Command) -> Pin<Box<dyn Future<Output = Result<Done, CommandError>> + Send>>
    + Send
    + Sync;

/// The field that a change needs, and its value.
const HEADER: (&str, &str) = ("x-edgewit-admin", "1");
/// Bytes of a command's JSON; the longest version is a digest.
const LARGEST_COMMAND: usize = 4 << 10;
/// For the whole body of a request, however large.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Carries out what requests ask for.
pub(super) struct Writes {
    carry: Box<Carry>,
    /// One body at a time is held in memory: uploads are large.
    uploads: Semaphore,
    /// Where it is put down that somebody wanted to change something.
    status: Arc<Status>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwapBody {
    version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DisableBody {
    force: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoBody {}

impl Writes {
    pub(super) fn new(carry: Box<Carry>, status: Arc<Status>) -> Self {
        Self { carry, uploads: Semaphore::new(1), status }
    }

    /// Does what a request asks for. `largest`: bytes that a component of this plugin may have. A command puts down itself
    /// what came of it; a request that does not get so far is put down here.
    pub(super) async fn answer<B>(
        &self,
        request: Request<B>,
        write: Write,
        largest: u64,
    ) -> Result<(StatusCode, Done), Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let is_upload = matches!(write, Write::Upload(_));
        let plugin = write.plugin().cloned();
        let asked = request.uri().path().to_owned();
        let command = self.command(request, write, largest).await;
        // An upload keeps its place until its bytes are taken in.
        let (command, _one) =
            command.inspect_err(|problem| self.tell_refused(&asked, plugin.as_ref(), problem))?;
        let status = if is_upload { StatusCode::CREATED } else { StatusCode::OK };
        let done = (self.carry)(command).await.map_err(Problem::from)?;
        Ok((status, done))
    }

    /// Puts down that nothing was changed, as long as nobody floods us with it.
    pub(super) fn tell_refused(&self, asked: &str, plugin: Option<&PluginName>, problem: &Problem) {
        let message = format!("{asked}: refused: {}", problem.detail());
        self.status.events().put_caused("command", plugin, &message);
    }

    async fn command<B>(
        &self,
        request: Request<B>,
        write: Write,
        largest: u64,
    ) -> Result<(Command, Option<SemaphorePermit<'_>>), Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        check(request.headers(), &write)?;
        let is_upload = matches!(write, Write::Upload(_));
        let most = if is_upload {
            usize::try_from(largest).unwrap_or(usize::MAX)
        } else {
            LARGEST_COMMAND
        };
        let one = match is_upload {
            true => Some(self.uploads.try_acquire().map_err(|_| busy())?),
            false => None,
        };
        let bytes = body(request, most).await?;
        Ok((command(write, bytes)?, one))
    }
}

fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "another upload is on its way; one at a time")
}

/// Does it come from somebody who means it, and in the right form?
fn check(headers: &HeaderMap, write: &Write) -> Result<(), Problem> {
    let (name, value) = HEADER;
    let mut values = headers.get_all(name).iter();
    let meant = values.next().is_some_and(|v| v == value) && values.next().is_none();
    if !meant || headers.contains_key(ORIGIN) {
        let detail = format!("a change needs the header field `{name}: {value}` and no `origin`");
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let wanted =
        if matches!(write, Write::Upload(_)) { "application/wasm" } else { "application/json" };
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let found = found.and_then(|value| value.split(';').next()).map(str::trim);
    if !found.is_some_and(|found| found.eq_ignore_ascii_case(wanted)) {
        let detail = format!("the content type has to be `{wanted}`");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(())
}

async fn body<B>(request: Request<B>, most: usize) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{most} bytes are the most that is read"),
        )
    };
    let declared =
        request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if declared.is_some_and(|declared: u64| declared > most as u64) {
        let _ = tokio::time::timeout(BODY_TIMEOUT, discard(request.into_body())).await;
        return Err(too_large()); // without keeping any of it
    }
    let reading = Box::pin(Limited::new(request.into_body(), most).collect());
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// Reads on for a while: who is still sending when the connection closes may never see the answer.
async fn discard<B: Body<Data = Bytes>>(body: B) {
    let mut body = std::pin::pin!(body);
    let mut left = DISCARDED;
    while let Some(Ok(frame)) = body.as_mut().frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}

/// Bytes of a body that is too large that are read all the same: several times the largest component of most.
const DISCARDED: usize = 64 << 20;

fn command(write: Write, bytes: Bytes) -> Result<Command, Problem> {
    Ok(match write {
        Write::Upload(plugin) => Command::Upload { plugin, component: bytes.into() },
        Write::Swap(plugin) => {
            let SwapBody { version } = json(&bytes, false)?;
            Command::Swap { plugin, version }
        }
        Write::Disable(plugin) => {
            let DisableBody { force } = json(&bytes, true)?;
            Command::Disable { plugin, force }
        }
        Write::Rollback(plugin) => {
            let NoBody {} = json(&bytes, true)?;
            Command::Rollback { plugin }
        }
        Write::Enable(plugin) => {
            let NoBody {} = json(&bytes, true)?;
            Command::Enable { plugin }
        }
        Write::Reload => {
            let NoBody {} = json(&bytes, true)?;
            Command::Reload
        }
    })
}

/// `may_be_empty`: nothing means an empty object.
fn json<T: DeserializeOwned>(bytes: &[u8], may_be_empty: bool) -> Result<T, Problem> {
    let bytes = if may_be_empty && bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body: {error}")))
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let status = match &error {
            CommandError::NotFound(_) => StatusCode::NOT_FOUND,
            CommandError::Conflict(_) => StatusCode::CONFLICT,
            CommandError::Refused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            CommandError::Draining(_) => StatusCode::SERVICE_UNAVAILABLE,
            CommandError::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let problem = Problem::new(status, error.to_string());
        match error {
            CommandError::Refused { diagnostics, .. } => problem.diagnostics(diagnostics),
            _ => problem,
        }
    }
}
