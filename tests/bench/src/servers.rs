//! Our own modes: the origin, the two proxies that show what is possible, and the server whose instructions are counted.

pub(crate) mod origin;

pub(crate) mod relay;

pub(crate) mod proxy;

pub(crate) mod gateway;

use std::net::SocketAddr;

use anyhow::Result;
use tokio::net::TcpListener;

/// Binds a free port.
pub(crate) async fn bind() -> Result<TcpListener> {
    Ok(TcpListener::bind("127.0.0.1:0").await?)
}

/// Tells the parent, who reads the first line.
pub(crate) fn announce(addresses: &[SocketAddr]) {
    let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    println!("{}", words.join(" "));
}

/// Runs a future on one thread.
pub(crate) fn local<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, future)
}
