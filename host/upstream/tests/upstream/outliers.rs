//! Endpoints that fail more often than the others, judged by the requests of clients.

use std::{cell::Cell, time::Duration};

use edgewit_model::SuccessRate;
use edgewit_upstream::ServerHealth;
use tokio::task::spawn_local;

use crate::support::{Raw, Worker, config, get, worker};

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const BAD: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// Fails every `nth` request.
fn serve(raw: Raw, nth: usize) {
    spawn_local(async move {
        let count = std::rc::Rc::new(Cell::new(0));
        loop {
            let (mut peer, count) = (raw.accept().await, count.clone());
            spawn_local(async move {
                while peer.request().await.is_some() {
                    count.set(count.get() + 1);
                    peer.say(if count.get() % nth == 0 { BAD } else { GOOD }).await;
                }
            });
        }
    });
}

#[tokio::test]
async fn who_succeeds_less_often_than_the_others_is_left_alone() {
    worker(async {
        let mut ports = Vec::new();
        for number in 0..5 {
            let raw = Raw::bind().await;
            ports.push(raw.port());
            serve(raw, if number == 3 { 2 } else { usize::MAX }); // never twice in a row: no streak
        }
        let mut config = config(&ports);
        config.outlier.interval = Duration::from_millis(300);
        config.outlier.eject = Duration::from_secs(600);
        config.outlier.eject_at_most = Duration::from_secs(600);
        config.outlier.success_rate = Some(SuccessRate { requests: 10, ..SuccessRate::default() });
        let client = Worker::new(&config);
        let ejected = || client.upstream.ejections().iter().map(|(_, count)| count).sum::<u64>();
        while ejected() == 0 {
            client.ask(get()).await.unwrap(); // the test has a deadline
        }
        let available: Vec<_> =
            client.upstream.health().iter().map(ServerHealth::is_available).collect();
        assert_eq!(available, [true, true, true, false, true]);
        let reasons = client.upstream.ejections();
        assert!(reasons.contains(&("success-rate", 1)), "{reasons:?}");
        for _ in 0..20 {
            assert_eq!(client.ask(get()).await.unwrap().0, 200);
        }
    })
    .await;
}
