//! Ten times the load that an upstream can bear (THREATS F1, promise 12).

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use edgewit_model::{self as model, UpstreamName};
use edgewit_upstream::Upstream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};

use crate::support::{Backend, Gateway, forward_to, listener, read_head, route};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What the upstream can do: so many at a time, each for so long.
const SLOTS: usize = 8;
const TAKES: Duration = Duration::from_millis(80);

/// How long it is measured.
const UNLOADED: Duration = Duration::from_millis(1_500);
const OVERLOADED: Duration = Duration::from_secs(4);

/// Share of what is served without overload that is served with it; how soon the others know. The machine does the work of
/// clients, upstream and other tests too, so it is the middle one of the refused that must know in time.
const GOODPUT: f64 = 0.9;
const REFUSED_WITHIN: Duration = Duration::from_millis(50);

/// An upstream that does so many at a time, and the most that it was asked for at a time.
async fn upstream_with_slots() -> (Backend, Arc<AtomicUsize>) {
    let (inside, deepest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let slots = Arc::new(Semaphore::new(SLOTS));
    let most = Arc::clone(&deepest);
    let backend = Backend::new(move |mut stream, _| {
        let (inside, deepest) = (Arc::clone(&inside), Arc::clone(&most));
        let slots = Arc::clone(&slots);
        async move {
            while read_head(&mut stream).await.is_some() {
                deepest.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let slot = slots.acquire().await;
                sleep(TAKES).await;
                drop(slot);
                inside.fetch_sub(1, Ordering::SeqCst);
                if stream.write_all(OK).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (backend, deepest)
}

/// Clients with kept connections, each for one request at a time.
#[derive(Clone)]
struct Clients {
    address: SocketAddr,
    idle: Arc<Mutex<Vec<TcpStream>>>,
}

/// What became of a request, and how long it took.
type Answer = (bool, Duration);

impl Clients {
    fn of(gateway: &Gateway) -> Self {
        Self { address: gateway.address, idle: Arc::default() }
    }

    async fn ask(&self) -> Answer {
        let kept = self.idle.lock().unwrap().pop();
        let mut stream = match kept {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await.unwrap(),
        };
        let began = Instant::now();
        stream.write_all(GET).await.unwrap();
        let mut bytes = Vec::with_capacity(1_024);
        let (head, end) = loop {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "cut");
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(bytes[..end + 2].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            break (head.clone(), end + 4 + length.unwrap().parse::<usize>().unwrap());
        };
        let took = began.elapsed();
        while bytes.len() < end {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "cut");
        }
        self.idle.lock().unwrap().push(stream);
        if head.starts_with("HTTP/1.1 200 ") {
            return (true, took);
        }
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(head.contains("retry-after: 1\r\n"), "{head}");
        (false, took)
    }

    /// As many at a time as the upstream can do; how many a second are served.
    async fn unloaded(&self) -> f64 {
        let (begun, mut clients) = (Instant::now(), JoinSet::new());
        for _ in 0..SLOTS {
            let clients_of_one = self.clone();
            clients.spawn(async move {
                let mut served = 0;
                while begun.elapsed() < UNLOADED {
                    served += usize::from(clients_of_one.ask().await.0);
                }
                served
            });
        }
        let served: usize = clients.join_all().await.into_iter().sum();
        served as f64 / begun.elapsed().as_secs_f64()
    }

    /// So many a second, whether the ones before are answered or not.
    async fn overloaded(&self, rate: f64) -> Vec<Answer> {
        let (begun, mut asked, mut clients) = (Instant::now(), 0, JoinSet::new());
        while begun.elapsed() < OVERLOADED {
            let due = (begun.elapsed().as_secs_f64() * rate) as usize;
            for _ in asked..due {
                let one = self.clone();
                clients.spawn(async move { one.ask().await });
            }
            asked = due.max(asked);
            sleep(Duration::from_millis(1)).await;
        }
        clients.join_all().await
    }
}

/// What came out, in requests a second.
struct Measured {
    unloaded: f64,
    offered: f64,
    served: f64,
    refused: usize,
    /// Half, nine of ten, and all of the refused knew after so long.
    refusals: [Duration; 3],
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unloaded, offered, served, refused, refusals } = self;
        write!(f, "{unloaded:.0}/s unloaded; of {offered:.0}/s {served:.0}/s served, ")?;
        write!(f, "{refused} refused, after {refusals:?}")
    }
}

impl Measured {
    fn is_good(&self) -> bool {
        self.served >= self.unloaded * GOODPUT && self.refusals[0] <= REFUSED_WITHIN
    }
}

/// The clients have a thread of their own.
fn measure(clients: Clients) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let unloaded = clients.unloaded().await;
        let answers = clients.overloaded(unloaded * 10.0).await;
        let of =
            |good| answers.iter().filter(move |answer| answer.0 == good).map(|answer| answer.1);
        let mut refused: Vec<_> = of(false).collect();
        refused.sort();
        let at = |share: f64| refused[((refused.len() - 1) as f64 * share) as usize];
        let seconds = OVERLOADED.as_secs_f64();
        Measured {
            unloaded,
            offered: answers.len() as f64 / seconds,
            served: of(true).count() as f64 / seconds,
            refused: refused.len(),
            refusals: [at(0.5), at(0.9), at(1.0)],
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_load_leaves_the_goodput_and_the_rest_is_refused_at_once() {
    let (backend, deepest) = upstream_with_slots().await;
    let endpoint = model::Endpoint {
        tls: false,
        host: backend.address.ip().to_string(),
        port: backend.address.port(),
        weight: 1,
    };
    let mut config = model::Upstream::new(UpstreamName::new("u").unwrap(), vec![endpoint]);
    config.timeouts.connect = crate::support::DEADLINE;
    config.circuit.max_requests = SLOTS as u32;
    config.circuit.max_pending = SLOTS as u32;
    let upstream = Upstream::new(&config).unwrap();
    let to = route(forward_to(&[&upstream]));
    let gateway = Gateway::new(listener(), vec![(to, Vec::new(), vec![upstream])]);
    let (mut all, mut is_good) = (Vec::new(), false);
    for _ in 0..3 {
        let clients = Clients::of(&gateway);
        let measured = tokio::task::spawn_blocking(move || measure(clients)).await.unwrap();
        let open = "edgewit_circuit_open{upstream=\"u\"} 1\n";
        assert!(gateway.metrics.text().contains(open));
        assert!(measured.refused > 0);
        println!("{measured}");
        is_good = is_good || measured.is_good();
        all.push(measured.to_string());
        if is_good {
            break;
        }
    }
    assert!(is_good, "{all:#?}");
    let deepest = deepest.load(Ordering::SeqCst);
    assert!(deepest <= SLOTS, "the upstream is asked for {deepest} at a time");
}
