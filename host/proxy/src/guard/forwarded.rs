//! Who the client is, by its own address or by the word of trusted proxies.

use std::net::IpAddr;

use edgewit_chain::Scheme;
use edgewit_model::{Authority, IpNet};
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use super::scheme_name;

/// Fields that only a trusted peer may set.
pub(crate) const FIELDS: [HeaderName; 8] = [
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    FORWARDED,
    X_REAL_IP,
    // Those in which a proxy passes on the certificate of its client (RFC 9440, Envoy). Upstreams that take their word for it
    // must not get that of a client (RFC 9440 4).
    HeaderName::from_static("client-cert"),
    HeaderName::from_static("client-cert-chain"),
    HeaderName::from_static("x-forwarded-client-cert"),
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Addresses in `x-forwarded-for` that are looked at, from its end.
const MAX_HOPS: usize = 32;

/// The other end of a connection.
pub(super) struct Peer<'a> {
    pub(super) address: IpAddr,
    pub(super) is_trusted: bool,
    pub(super) trusted: &'a [IpNet],
    pub(super) scheme: Scheme,
    /// Its address, as a field says it.
    pub(super) field: &'a HeaderValue,
    /// Whether there is any field of these.
    pub(super) has_said: bool,
}

/// Sets the forwarding fields and returns the address of the client. What an untrusted peer says is dropped; what a
/// trusted one says is continued. `x-real-ip` and `forwarded` are only passed on, since there are two ways to say it.
pub(super) fn rewrite(fields: &mut HeaderMap, peer: &Peer<'_>, authority: &Authority) -> IpAddr {
    if peer.has_said && !peer.is_trusted {
        for name in &FIELDS {
            fields.remove(name);
        }
    }
    let client = client(fields, peer);
    extend_chain(fields, peer);
    let proto = scheme_name(peer.scheme);
    fields.entry(X_FORWARDED_PROTO).or_insert(proto);
    fields.entry(X_FORWARDED_HOST).or_insert_with(|| authority.field().clone());
    client
}

/// The last address of the chain that is not one of ours; without such, the first that is known.
fn client(fields: &HeaderMap, peer: &Peer<'_>) -> IpAddr {
    let mut client = peer.address;
    if !peer.is_trusted {
        return client;
    }
    let lines: Vec<&HeaderValue> = fields.get_all(X_FORWARDED_FOR).iter().collect();
    let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
    for hop in hops.take(MAX_HOPS) {
        // A word that is no address breaks the chain of trust: nobody knows who wrote what stands before it.
        let Some(address) = address(hop) else { break };
        client = address;
        if !peer.trusted.iter().any(|net| net.contains(address)) {
            break;
        }
    }
    client
}

fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let address: IpAddr = text.parse().ok()?;
    Some(address.to_canonical())
}

fn extend_chain(fields: &mut HeaderMap, peer: &Peer<'_>) {
    let lines: Vec<&[u8]> =
        fields.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        fields.insert(X_FORWARDED_FOR, peer.field.clone());
        return;
    }
    let chain = [lines.join(&b", "[..]).as_slice(), peer.field.as_bytes()].join(&b", "[..]);
    if let Ok(chain) = HeaderValue::from_bytes(&chain) {
        fields.insert(X_FORWARDED_FOR, chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, before: &[&'static str], client: &str, after: &str) {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let address: IpAddr = peer.parse().unwrap();
        let peer = Peer {
            address,
            is_trusted: trusted[0].contains(address),
            trusted: &trusted,
            scheme: Scheme::Https,
            field: &HeaderValue::from_str(peer).unwrap(),
            has_said: !before.is_empty(),
        };
        let mut fields = HeaderMap::new();
        for line in before {
            fields.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let found = rewrite(&mut fields, &peer, &Authority::new("a.test").unwrap());
        assert_eq!(found.to_string(), client, "{before:?}");
        assert_eq!(fields[X_FORWARDED_FOR], after);
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_ours() {
        check("1.2.3.4", &[], "1.2.3.4", "1.2.3.4");
        check("1.2.3.4", &["9.9.9.9"], "1.2.3.4", "1.2.3.4");
        check("10.0.0.1", &[], "10.0.0.1", "10.0.0.1");
        check("10.0.0.1", &["9.9.9.9"], "9.9.9.9", "9.9.9.9, 10.0.0.1");
        check(
            "10.0.0.1",
            &["6.6.6.6, 9.9.9.9", "10.0.0.2"],
            "9.9.9.9",
            "6.6.6.6, 9.9.9.9, 10.0.0.2, 10.0.0.1",
        );
        check("10.0.0.1", &["10.0.0.3,10.0.0.2"], "10.0.0.3", "10.0.0.3,10.0.0.2, 10.0.0.1");
        check("10.0.0.1", &["9.9.9.9, junk"], "10.0.0.1", "9.9.9.9, junk, 10.0.0.1");
        check("10.0.0.1", &["2001:db8::1"], "2001:db8::1", "2001:db8::1, 10.0.0.1");
    }

    #[test]
    fn only_a_trusted_peer_says_how_the_client_came() {
        for (trusts, expected) in
            [("1.0.0.0/8", ("http", "real.test", true)), ("2.0.0.0/8", ("https", "a.test", false))]
        {
            let trusted: Vec<IpNet> = vec![trusts.parse().unwrap()];
            let address: IpAddr = "1.2.3.4".parse().unwrap();
            let is_trusted = trusted[0].contains(address);
            let peer = Peer {
                address,
                is_trusted,
                trusted: &trusted,
                scheme: Scheme::Https,
                field: &HeaderValue::from_static("1.2.3.4"),
                has_said: true,
            };
            let mut fields = HeaderMap::new();
            fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
            fields.insert(X_FORWARDED_HOST, HeaderValue::from_static("real.test"));
            fields.insert(FORWARDED, HeaderValue::from_static("for=9.9.9.9"));
            fields.insert(X_REAL_IP, HeaderValue::from_static("9.9.9.9"));
            for name in FIELDS.iter().skip(5) {
                fields.append(name, HeaderValue::from_static("root"));
            }
            rewrite(&mut fields, &peer, &Authority::new("a.test").unwrap());
            assert_eq!(fields[X_FORWARDED_PROTO], expected.0);
            assert_eq!(fields[X_FORWARDED_HOST], expected.1);
            assert_eq!(fields.contains_key(FORWARDED), expected.2);
            assert_eq!(fields.contains_key(X_REAL_IP), expected.2);
            for name in FIELDS.iter().skip(5) {
                assert_eq!(fields.contains_key(name), expected.2, "{name}");
            }
        }
    }
}
