//! Whether this machine has a way to an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Those of the addresses to which there is a route; all if there is none to any. A host with addresses of both families
/// would else lose half of its requests wherever one family is not connected (as `AI_ADDRCONFIG` of getaddrinfo has it).
pub(super) fn routed(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    among(addresses, has_route)
}

fn among(addresses: Vec<IpAddr>, has_route: impl Fn(&IpAddr) -> bool) -> Vec<IpAddr> {
    let one_family = addresses.iter().all(IpAddr::is_ipv4) || addresses.iter().all(IpAddr::is_ipv6);
    if one_family {
        return addresses; // there is nothing better to choose
    }
    let found: Vec<IpAddr> = addresses.iter().copied().filter(has_route).collect();
    if found.is_empty() { addresses } else { found }
}

/// Asks the kernel by connecting a datagram socket, which sends nothing.
fn has_route(address: &IpAddr) -> bool {
    let local: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((local, 0)).and_then(|s| s.connect(SocketAddr::new(*address, 9))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_without_a_route_is_left_out() {
        let parse = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect();
        let check = |given: &[&str], routes: &[&str], expected: &[&str]| {
            let (routes, expected): (Vec<IpAddr>, Vec<IpAddr>) = (parse(routes), parse(expected));
            assert_eq!(among(parse(given), |a| routes.contains(a)), expected, "{given:?}");
        };
        let both = &["10.0.0.1", "fd00::1"];
        check(both, both, both);
        check(both, &["10.0.0.1"], &["10.0.0.1"]);
        check(both, &["fd00::1"], &["fd00::1"]);
        check(both, &[], both);
        check(&["10.0.0.1", "10.0.0.2"], &["10.0.0.2"], &["10.0.0.1", "10.0.0.2"]);
        check(&["fd00::1"], &[], &["fd00::1"]);
        check(&[], &[], &[]);
    }

    #[test]
    fn there_is_a_route_to_ourselves() {
        assert!(has_route(&IpAddr::from([127, 0, 0, 1])));
    }
}
