//! Takes connections from a socket, on one worker.

use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};

use super::LiveListener;
use crate::{
    connection::{self, Accepted},
    worker::Context,
};

/// Pauses after an error, such as no file descriptor left: the first and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Accepts until `stop` is closed, and then what the kernel has already accepted: a client that got a connection gets an
/// answer. Connections see `stop` too.
pub(crate) async fn accept_all(
    listener: Arc<LiveListener>,
    socket: TcpListener,
    mut stop: watch::Receiver<()>,
    context: Rc<Context>,
) {
    let connections = stop.clone();
    let accept = |(stream, peer), place| {
        let accepted = Accepted {
            stream,
            peer,
            listener: Arc::clone(&listener),
            place,
            stop: connections.clone(),
            open: context.shared.connections.enter(),
        };
        tokio::task::spawn_local(connection::serve(accepted, Rc::clone(&context)));
    };
    let mut pause = PAUSE.0;
    loop {
        let next = async {
            let place = listener.room.enter().await;
            (socket.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok(connection) => {
                pause = PAUSE.0;
                accept(connection, place);
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(address = %listener.address, %error, "could not accept");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
    if let Ok(socket) = socket.into_std() {
        while let Ok(connection) = accept_waiting(&socket) {
            accept(connection, listener.room.squeeze());
        }
    }
}

/// Errors of a connection that was gone before it was accepted (accept(2)).
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

fn accept_waiting(socket: &std::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = socket.accept()?;
    stream.set_nonblocking(true)?;
    Ok((TcpStream::from_std(stream)?, peer))
}
