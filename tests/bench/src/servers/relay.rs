//! The physical limit: bytes from one socket to the other, without a thought.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::net::TcpStream;

use super::{announce, bind, local};

/// Relays each connection to a connection of its own.
pub(crate) fn serve(to: SocketAddr) -> Result<()> {
    local(async move {
        let listener = bind().await?;
        announce(&[listener.local_addr()?]);
        loop {
            let (mut client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                let mut origin = TcpStream::connect(to).await?;
                origin.set_nodelay(true)?;
                tokio::io::copy_bidirectional(&mut client, &mut origin).await
            });
        }
    })
}
