//! Well is who answers a `GET` as expected.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use edgewit_model::{HealthKind, HttpHealth};
use http::{
    Request, Response, Uri,
    header::{CONNECTION, HOST, USER_AGENT},
    uri::{Parts, Scheme},
};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use super::{
    Ask, Unwell, Variant,
    dial::{Dialed, Io},
};

/// Well is who answers a `GET` as expected, over the protocol that the endpoint speaks.
pub(super) const VARIANT: Variant = Variant {
    name: "path",
    takes: |kind| matches!(kind, HealthKind::Http(_)),
    check: |ask| Box::pin(check(ask)),
};

/// Bytes of an answer's body that are read. A report may be long; that it begins well is enough.
const MOST: usize = 64 << 10;

/// Bytes of an answer's head at most, and fields.
const MAX_HEAD: usize = 16 << 10;

async fn check(ask: Ask) -> Result<(), Unwell> {
    let HealthKind::Http(http) = &ask.rules.kind else { return Ok(()) };
    let http = http.clone();
    let dialed = Dialed::dial(&ask).await?;
    let is_http2 = dialed.is_http2(ask.upstream.h2c());
    let request = request(&http, &ask, is_http2)?;
    let io = TokioIo::new(dialed.into_io());
    let mut driver = JoinSet::new();
    let answering = match is_http2 {
        true => over_http2(io, request, &mut driver).await?,
        false => over_http1(io, request, &mut driver).await?,
    };
    judge(http, answering.await?).await
}

/// A future with a name, since the compiler does not see through nested ones that they may change threads.
type Answering = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

/// Sends the request. What drives the connection ends when the set is dropped.
async fn over_http1(
    io: TokioIo<Box<dyn Io>>,
    request: Asked,
    driver: &mut JoinSet<()>,
) -> hyper::Result<Answering> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = builder.handshake(io).await?;
    driver.spawn(async move { drop(connection.await) });
    Ok(Box::pin(async move { sender.send_request(request).await }))
}

async fn over_http2(
    io: TokioIo<Box<dyn Io>>,
    request: Asked,
    driver: &mut JoinSet<()>,
) -> hyper::Result<Answering> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
    let (mut sender, connection) = builder.handshake(io).await?;
    driver.spawn(async move { drop(connection.await) });
    Ok(Box::pin(async move { sender.send_request(request).await }))
}

type Asked = Request<Empty<Bytes>>;

async fn judge(http: HttpHealth, response: Response<Incoming>) -> Result<(), Unwell> {
    let status = response.status().as_u16();
    if !http.statuses.iter().any(|range| range.contains(&status)) {
        return Err(Unwell::Status(status));
    }
    let mut body = response.into_body();
    let mut read = 0;
    while read < MOST && !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        read += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(())
}

fn request(http: &HttpHealth, ask: &Ask, is_http2: bool) -> Result<Asked, Unwell> {
    let host = http.host.as_ref().unwrap_or_else(|| ask.endpoint.authority());
    let mut request = Request::builder().header(USER_AGENT, AGENT);
    let mut parts = Parts::default();
    parts.path_and_query = Some(http.path.clone());
    if is_http2 {
        parts.scheme = Some(if ask.endpoint.is_tls() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(host.clone());
    } else {
        request = request.header(HOST, host.as_str()).header(CONNECTION, "close");
    }
    let uri = Uri::from_parts(parts).map_err(http::Error::from)?;
    Ok(request.uri(uri).body(Empty::new())?)
}

/// So that a server's log tells checks from clients.
const AGENT: &str = "edgewit-health";
