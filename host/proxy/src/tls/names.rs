//! The hosts that a certificate speaks for.

use std::net::IpAddr;

use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// The hosts that a certificate speaks for (RFC 9525), in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    all: Vec<Name>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    Exact(Box<str>),
    /// What follows the star: `.example.com`.
    Wildcard(Box<str>),
    Address(IpAddr),
}

impl Names {
    /// The alternative names of the subject. The common name counts only where there are none of them, as in certificates
    /// that are older than RFC 2818.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let all: Vec<Name> = match alternatives {
            Some(names) => names.value.general_names.iter().filter_map(Name::read).collect(),
            None => {
                let common = certificate.subject().iter_common_name();
                common.filter_map(|name| Name::dns(name.as_str().ok()?)).collect()
            }
        };
        Self { all }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Name> {
        self.all.iter()
    }

    /// Does one of the names stand for this host? An IPv6 address may be in brackets.
    pub(super) fn cover(&self, host: &str) -> bool {
        let plain = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let address = plain.parse::<IpAddr>().ok();
        let domain = parent(host);
        self.all.iter().any(|name| match (name, address) {
            (Name::Address(name), Some(address)) => *name == address,
            (Name::Exact(name), None) => **name == *host,
            (Name::Wildcard(name), None) => domain == Some(name),
            _ => false,
        })
    }
}

impl Name {
    fn read(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Self::dns(name),
            GeneralName::IPAddress(bytes) => {
                let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()
            }
            .map(Name::Address),
            _ => None,
        }
    }

    fn dns(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let plain = |name: &str| !name.is_empty() && name.bytes().all(is_host_byte);
        match name.strip_prefix('*') {
            Some(domain) => {
                let is_domain = domain.strip_prefix('.').is_some_and(plain);
                is_domain.then(|| Name::Wildcard(domain.into()))
            }
            None => plain(&name).then(|| Name::Exact(name.into())),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Exact(name) => f.write_str(name),
            Name::Wildcard(domain) => write!(f, "*{domain}"),
            Name::Address(address) => address.fmt(f),
        }
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

/// What follows the first label, with its dot. A star stands for exactly one label (RFC 9525 6.3).
pub(super) fn parent(host: &str) -> Option<&str> {
    let dot = host.find('.').filter(|dot| *dot > 0)?;
    host.get(dot..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label_and_addresses_are_no_names() {
        let names = Names {
            all: ["a.test", "*.b.test", "10.0.0.1", "*.0.0.1"]
                .map(|name| Name::dns(name).unwrap())
                .into_iter()
                .chain([Name::Address([10, 0, 0, 2].into()), Name::Address([0; 16].into())])
                .collect(),
        };
        let cases = [
            ("a.test", true),
            ("x.a.test", false),
            ("b.test", false),
            ("x.b.test", true),
            ("x.y.b.test", false),
            (".b.test", false),
            ("10.0.0.1", false),
            ("10.0.0.2", true),
            ("[::]", true),
            ("::", true),
            ("[::1]", false),
            ("", false),
        ];
        for (host, expected) in cases {
            assert_eq!(names.cover(host), expected, "{host}");
        }
        for bad in ["", "*", "*.", "a*.test", "*.*.test", "*a.test", "a b", "a\0.test"] {
            assert_eq!(Name::dns(bad), None, "{bad}");
        }
        assert_eq!(Name::dns("A.Test."), Some(Name::Exact("a.test".into())));
    }
}
