//! The baseline: hyper on both sides, one upstream connection for each client connection, nothing else.

use std::{cell::RefCell, net::SocketAddr, rc::Rc};

use anyhow::Result;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self as client, SendRequest},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::origin::{announce, local};

type Idle = Rc<RefCell<Option<SendRequest<Incoming>>>>;

pub(crate) fn serve(to: SocketAddr) -> Result<()> {
    local(async move {
        let listener = announce().await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                let idle = Idle::default();
                let forward = service_fn(move |request| forward(to, Rc::clone(&idle), request));
                let _ =
                    server::Builder::new().serve_connection(TokioIo::new(stream), forward).await;
            });
        }
    })
}

async fn forward(
    to: SocketAddr,
    idle: Idle,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>> {
    let kept = idle.borrow_mut().take().filter(|sender| !sender.is_closed());
    let mut sender = match kept {
        Some(sender) => sender,
        None => connect(to).await?,
    };
    sender.ready().await?;
    request.headers_mut().remove(http::header::CONNECTION);
    let response = sender.send_request(request).await?;
    *idle.borrow_mut() = Some(sender);
    Ok(response)
}

async fn connect(to: SocketAddr) -> Result<SendRequest<Incoming>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    Ok(sender)
}
