//! The origin behind all contestants: 1 KiB or 64 KiB, and what it saw.

use std::convert::Infallible;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{announce, bind, local};
use crate::{
    ask::{Ask, LARGE},
    work::NEXT,
};

/// Bodies of the answers.
#[derive(Clone)]
struct Bodies {
    small: Bytes,
    large: Bytes,
}

/// Serves on two ports; what comes from the second one says so.
pub(crate) fn serve() -> Result<()> {
    local(async {
        let (first, next) = (bind().await?, bind().await?);
        announce(&[first.local_addr()?, next.local_addr()?]);
        let body = |ask: Ask| Bytes::from(vec![b'x'; ask.size()]);
        let bodies = Bodies { small: body(Ask::small()), large: body(Ask::large()) };
        tokio::try_join!(accept(first, &bodies, false), accept(next, &bodies, true))?;
        Ok(())
    })
}

async fn accept(listener: TcpListener, bodies: &Bodies, next: bool) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let bodies = bodies.clone();
        tokio::task::spawn_local(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &bodies, next);
                async move { Ok::<_, Infallible>(answer) }
            });
            // A connection that the other side closes is no error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer(request: &Request<Incoming>, bodies: &Bodies, next: bool) -> Response<Full<Bytes>> {
    let large = request.uri().path().starts_with(LARGE);
    let body = if large { &bodies.large } else { &bodies.small };
    let mut response = Response::new(Full::new(body.clone()));
    for (name, value) in request.headers() {
        if let Some(seen) = seen(name) {
            response.headers_mut().insert(seen, value.clone());
        }
    }
    if let Some((name, value)) = NEXT.split_once(": ").filter(|_| next) {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The field of the answer that shows a field of the request, for those that filters set.
fn seen(name: &HeaderName) -> Option<HeaderName> {
    let ours = name.as_str().starts_with("x-bench-") || name.as_str() == "x-user";
    ours.then(|| HeaderName::try_from(format!("x-seen-{name}")).ok())?
}
