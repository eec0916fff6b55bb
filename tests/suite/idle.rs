//! What a connection costs that waits for its next request.

use edgewit_harness::{Gateway, Raw, Setup, until_or_tell};

const CONNECTIONS: u64 = 500;
/// Bytes of each connection at most.
const EACH: u64 = 8 << 10;
const MANY: &str =
    "[listeners.many]\nlisten = \"127.0.0.1:0\"\nlimits.connections-per-client = 1000\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn asked(gateway: &Gateway) -> Raw {
    let mut client = Raw::connect(gateway.listener("many"));
    client.write(GET);
    client.read_until("here");
    client
}

#[test]
fn idle_connections_give_their_buffers_back() {
    let toml = "[routes.all]\nmatch = \"/\"\nrespond = { body = \"here\" }\n";
    let gateway = Setup::new(toml).listeners(MANY).start();
    drop((0..20).map(|_| asked(&gateway)).collect::<Vec<_>>());
    let before = gateway.memory_at_rest();
    let each = || gateway.memory().saturating_sub(before) / CONNECTIONS;
    let (mut clients, mut most) = (Vec::new(), 0);
    for _ in 0..CONNECTIONS {
        clients.push(asked(&gateway));
        most = most.max(each());
    }
    assert!(most > EACH, "there is something to give back: {most}");
    until_or_tell(
        || format!("{} bytes each to be given back", each()),
        || (each() <= EACH).then_some(()),
    );
    for client in &mut clients {
        client.write(GET);
        client.read_until("here");
    }
}
