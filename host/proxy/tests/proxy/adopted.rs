//! Sockets that come from somebody else, and those that are handed on.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use edgewit_model::{Listener, ListenerName};
use edgewit_proxy::{Adopted, ListenError, Proxy};
use edgewit_telemetry::Metrics;

use crate::support::{hello, listener, name, respond, route, snapshot, talk, within};

const CLOSE: &str = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";

fn proxy(answer: &str) -> Proxy {
    let metrics = Metrics::new(2);
    let routes = vec![(route(respond(200, answer)), Vec::new(), Vec::new())];
    Proxy::start(Some(2), &metrics, snapshot(1, routes, None, &metrics)).unwrap()
}

fn open(name: Option<&str>) -> (Adopted, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (Adopted { name: name.map(str::to_owned), listener: None, socket }, address)
}

fn inheriting(socket: &str) -> Listener {
    Listener { inherited: Some(socket.to_owned()), ..listener() }
}

fn only(listener: Listener) -> BTreeMap<ListenerName, Listener> {
    BTreeMap::from([(listener.name.clone(), listener)])
}

#[tokio::test]
async fn a_listener_takes_the_socket_that_has_its_name_or_address() {
    let proxy = proxy("hello");
    let ((web, of_web), (other, of_other), (unused, of_unused)) =
        (open(Some("web")), open(None), open(Some("unused")));
    proxy.adopt(vec![other, unused, web]);
    let mut listeners = only(inheriting("web"));
    let second = Listener { name: name("second"), listen: of_other, ..listener() };
    listeners.insert(name("second"), second);
    let bound = proxy.apply(&listeners, proxy.snapshot()).unwrap();
    let addresses: Vec<_> = bound.iter().map(|b| (b.listener.as_str(), b.address)).collect();
    assert_eq!(addresses, [("second", of_other), ("web", of_web)]);
    for address in [of_web, of_other] {
        assert!(talk(address, CLOSE).await.ends_with("hello"));
    }
    assert!(TcpListener::bind(of_unused).is_ok(), "nobody waits at a socket that is not served");

    // A reload keeps them, by name and by address.
    proxy.apply(&listeners, proxy.snapshot()).unwrap();
    let by_address = Listener { listen: of_web, ..listener() };
    let bound = proxy.apply(&only(by_address), proxy.snapshot()).unwrap();
    assert_eq!(bound[0].address, of_web);
    let bound = proxy.apply(&only(inheriting("web")), proxy.snapshot()).unwrap();
    assert_eq!(bound[0].address, of_web);
    assert!(talk(of_web, CLOSE).await.ends_with("hello"));
}

#[tokio::test]
async fn a_socket_that_nobody_has_handed_over_is_said_to_be_missing() {
    let proxy = proxy("hello");
    let (web, of_web) = open(Some("web"));
    proxy.adopt(vec![web]);
    let error = proxy.apply(&only(inheriting("wbe")), proxy.snapshot()).unwrap_err();
    let expected = "listener `web` wants the socket `fd:wbe`, and nobody has handed one over";
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, ListenError::NotHandedOver { .. }));
    assert!(error.hint().unwrap().contains("FileDescriptorName=wbe"));
    // A change that fails takes nothing.
    proxy.apply(&only(inheriting("web")), proxy.snapshot()).unwrap();
    assert!(talk(of_web, CLOSE).await.ends_with("hello"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_hands_its_sockets_to_the_next_without_losing_a_request() {
    let old = hello(listener());
    let (address, stop) = (old.address, Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let (mut of_old, mut of_new) = (0, 0);
                while !stop.load(Ordering::Relaxed) || of_new == 0 {
                    match talk(address, CLOSE).await {
                        answer if answer.ends_with("hello") => of_old += 1,
                        answer if answer.ends_with("new") => of_new += 1,
                        answer => panic!("lost: {answer:?}"),
                    }
                }
                (of_old, of_new)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let handed = old.proxy.sockets().unwrap();
    assert_eq!(handed.len(), 1);
    assert_eq!(handed[0].listener, Some(name("web")));
    let new = proxy("new");
    new.adopt(handed);
    let listen = Listener { listen: address, ..listener() };
    let bound = new.apply(&only(listen), new.snapshot()).unwrap();
    assert_eq!(bound[0].address, address);
    let open = within(old.proxy.drain(Duration::ZERO, Duration::from_secs(20))).await;
    assert_eq!(open, 0);
    assert!(old.proxy.sockets().unwrap().is_empty());
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (of_old, of_new) = within(client).await.unwrap();
        assert!(of_old > 0 && of_new > 0, "{of_old} {of_new}");
    }
}
