use super::*;

fn endpoint(port: u16) -> model::Endpoint {
    model::Endpoint { tls: false, host: "10.0.0.1".to_owned(), port, weight: 1 }
}

fn upstream(ports: &[u16], change: impl FnOnce(&mut model::Upstream)) -> Arc<Upstream> {
    let name = model::UpstreamName::new("orders").unwrap();
    let endpoints = ports.iter().map(|port| endpoint(*port)).collect();
    let mut config = model::Upstream::new(name, endpoints);
    change(&mut config);
    Upstream::new(&config).unwrap()
}

fn found(upstream: &Upstream, ports: &[u16]) {
    let found: Vec<Found> = ports.iter().map(|port| Found::plain(endpoint(*port))).collect();
    assert!(upstream.found(&found).unwrap());
}

/// How often each port is chosen in so many turns.
fn shares<const N: usize>(upstream: &Upstream, ports: [u16; N], tried: &Tried) -> [u32; N] {
    let mut shares = [0; N];
    for _ in 0..4_000 {
        let chosen = upstream.choose(tried).unwrap().port();
        let place = ports.iter().position(|port| *port == chosen).expect("it is gone");
        shares[place] += 1;
    }
    shares
}

const ALL: [model::Balance; 6] = [
    model::Balance::RoundRobin,
    model::Balance::Random,
    model::Balance::LeastRequest,
    model::Balance::PeakEwma,
    model::Balance::RingHash,
    model::Balance::Maglev,
];

#[test]
fn what_is_gone_is_not_chosen_and_what_is_new_is() {
    for balance in ALL {
        let upstream = upstream(&[1, 2], |config| config.balance = balance);
        found(&upstream, &[2, 3]);
        let shares = shares(&upstream, [2, 3], &Tried::new());
        assert!(shares.iter().all(|share| *share > 1_500), "{balance:?} {shares:?}");
        found(&upstream, &[]);
        assert!(upstream.choose(&Tried::new()).is_none(), "{balance:?}");
    }
}

#[test]
fn a_new_endpoint_begins_with_a_tenth_of_its_share() {
    for balance in ALL {
        let upstream = upstream(&[1, 2], |config| {
            config.balance = balance;
            config.slow_start = Some(Duration::from_secs(3_600));
        });
        let begin = shares(&upstream, [1, 2], &Tried::new());
        assert!(begin[1] > 1_500, "{balance:?}: all are new, so none is spared: {begin:?}");
        found(&upstream, &[1, 2, 3]);
        let shares = shares(&upstream, [1, 2, 3], &Tried::new());
        assert!((70..=220).contains(&shares[2]), "{balance:?} {shares:?}");
    }
}

#[test]
fn a_new_endpoint_is_better_than_one_that_failed() {
    for balance in ALL {
        let upstream = upstream(&[1], |config| {
            config.balance = balance;
            config.slow_start = Some(Duration::from_secs(3_600));
        });
        found(&upstream, &[1, 2]);
        let mut tried = Tried::new();
        tried.elsewhere = true;
        tried.note(upstream.endpoints()[0].id());
        assert_eq!(shares(&upstream, [1, 2], &tried), [0, 4_000], "{balance:?}");
    }
}

#[test]
fn a_client_is_led_back_to_its_endpoint() {
    for balance in ALL {
        let upstream = upstream(&[1, 2, 3], |config| {
            config.balance = balance;
            let cookie = "a".to_owned();
            config.affinity = Some(model::Affinity { cookie, ttl: None, secret: None });
        });
        let home = upstream.endpoints()[1].id();
        let mut tried = Tried::new();
        tried.prefer = upstream.affinity_tag(home);
        assert_eq!(shares(&upstream, [1, 2, 3], &tried), [0, 4_000, 0], "{balance:?}");
        tried.note(home);
        tried.elsewhere = true;
        assert_eq!(shares(&upstream, [1, 2, 3], &tried)[1], 0, "{balance:?}");
        found(&upstream, &[1, 3]);
        assert_eq!(upstream.affinity_tag(home), None);
        let shares = shares(&upstream, [1, 3], &tried);
        assert!(shares.iter().all(|share| *share > 1_500), "{balance:?} {shares:?}");
    }
}

#[test]
fn requests_that_are_alike_stay_together() {
    for balance in ALL.into_iter().filter(|balance| balance.is_hash()) {
        let upstream = upstream(&[1, 2, 3], |config| config.balance = balance);
        let mut tried = Tried::new();
        tried.hash = Some(crate::hash_of(b"ann"));
        let shares = shares(&upstream, [1, 2, 3], &tried);
        assert_eq!(shares.iter().max(), Some(&4_000), "{balance:?} {shares:?}");
    }
}

#[test]
fn an_endpoint_with_tls_is_not_taken_without_a_set_up() {
    let upstream = upstream(&[1], |_| {});
    let tls = Found::plain(model::Endpoint { tls: true, ..endpoint(2) });
    assert!(matches!(upstream.found(&[tls]), Err(UpstreamError::NoTls(_))));
    assert_eq!(upstream.endpoints().len(), 1, "nothing changed");
}
