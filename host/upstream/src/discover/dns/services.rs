//! Which services count, and with which share (RFC 2782).

use edgewit_model as model;

use crate::discover::Found;

/// A service with the addresses of its host.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Without the dot at its end.
    pub(super) host: String,
}

/// Divided among up to eight addresses without a rest.
const UNIT: u32 = 840;

/// Beside others a weight of 0 gets "a very small chance": a sixteenth of a weight of 1.
const ZERO: u32 = 16;

/// Those of the lowest priority: others are for when all of these are gone, which is not ours to tell from a name service.
/// A host `.` says that the service is decidedly not available.
pub(super) fn preferred(mut services: Vec<Service>) -> Vec<Service> {
    services.retain(|service| !service.host.is_empty() && service.port != 0);
    let lowest = services.iter().map(|service| service.priority).min();
    services.retain(|service| Some(service.priority) == lowest);
    services
}

/// Endpoints of services with the addresses of their hosts: addresses share the weight of their service.
pub(super) fn endpoints(services: Vec<(Service, Vec<String>)>, tls: bool) -> Vec<Found> {
    let mut out = Vec::new();
    for (service, addresses) in services {
        let weight = match service.weight {
            0 => UNIT,
            weight => u32::from(weight) * UNIT * ZERO,
        };
        let each = u32::try_from(addresses.len()).map_or(1, |count| weight / count.max(1)).max(1);
        for host in addresses {
            let endpoint = model::Endpoint { tls, host, port: service.port, weight: each };
            out.push(Found { endpoint, name: Some(service.host.clone()) });
        }
    }
    let common = out.iter().fold(0, |common, found| gcd(common, found.endpoint.weight)).max(1);
    out.iter_mut().for_each(|found| found.endpoint.weight /= common);
    out
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, host: &str) -> Service {
        Service { priority, weight, port: 80, host: host.to_owned() }
    }

    #[test]
    fn only_the_lowest_priority_counts() {
        let hosts = |services: &[(u16, &str)]| -> Vec<String> {
            let services = services.iter().map(|(p, host)| service(*p, 1, host)).collect();
            preferred(services).into_iter().map(|service| service.host).collect()
        };
        assert_eq!(hosts(&[(10, "a"), (5, "b"), (5, "c"), (20, "d")]), ["b", "c"]);
        assert_eq!(hosts(&[(1, ""), (5, "b")]), ["b"]);
        assert!(hosts(&[(1, "")]).is_empty());
    }

    #[test]
    fn weights_are_shares_of_services_not_of_addresses() {
        let check = |services: &[(u16, usize)], expected: &[u32]| {
            let with = |(weight, count): &(u16, usize)| {
                let addresses = (0..*count).map(|n| format!("10.0.0.{n}")).collect();
                (service(1, *weight, "a"), addresses)
            };
            let found = endpoints(services.iter().map(with).collect(), false);
            let weights: Vec<u32> = found.iter().map(|found| found.endpoint.weight).collect();
            assert_eq!(weights, expected, "{services:?}");
        };
        check(&[(10, 1), (30, 1)], &[1, 3]);
        check(&[(10, 2), (30, 1)], &[1, 1, 6]);
        check(&[(0, 1), (0, 1)], &[1, 1]);
        check(&[(0, 1), (1, 1)], &[1, 16]);
        check(&[(u16::MAX, 1), (u16::MAX, 1)], &[1, 1]);
        check(&[(5, 0), (7, 1)], &[1]);
    }
}
