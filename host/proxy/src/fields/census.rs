//! Which kinds of fields a head has, found out in one look at each name.

use http::{HeaderMap, HeaderName};

/// Which kinds of fields a head has of which something has to be done. Most heads have none or one of them, and what they
/// do not have need not be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census(u16);

/// Bits of [`HOP_BY_HOP`](super::HOP_BY_HOP) come first, in its order.
const HOPS: u16 = 0xff;

/// A kind of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Belongs to one connection: [`HOP_BY_HOP`](super::HOP_BY_HOP).
    HopByHop = HOPS as isize,
    /// Frames the message.
    Framing = 1 << 8,
    /// Says who forwarded the message.
    Forwarding = 1 << 9,
    /// Names another method or path.
    Override = 1 << 10,
    /// `expect`.
    Expectation = 1 << 11,
    /// `authorization`.
    Credentials = 1 << 12,
    /// Has an underscore in its name.
    Underscore = 1 << 13,
}

impl Census {
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        Self(fields.keys().fold(0, |all, name| all | kinds(name)))
    }

    pub(crate) fn has(self, kind: Kind) -> bool {
        self.0 & kind as u16 != 0
    }

    /// Whether the name at this position in [`HOP_BY_HOP`](super::HOP_BY_HOP) is there.
    pub(super) fn has_hop(self, position: usize) -> bool {
        self.0 & HOPS & (1 << position) != 0
    }
}

fn kinds(name: &HeaderName) -> u16 {
    let name = name.as_str();
    let kind = match name {
        "connection" => return 1,
        "keep-alive" => return 1 << 1,
        "proxy-connection" => return 1 << 2,
        "te" => return 1 << 3,
        "trailer" => return 1 << 4,
        "transfer-encoding" => return 1 << 5 | Kind::Framing as u16,
        "upgrade" => return 1 << 6,
        "proxy-authenticate" => return 1 << 7,
        "content-length" => Kind::Framing,
        "x-forwarded-for"
        | "x-forwarded-proto"
        | "x-forwarded-host"
        | "forwarded"
        | "x-real-ip"
        | "client-cert"
        | "client-cert-chain"
        | "x-forwarded-client-cert" => Kind::Forwarding,
        "x-http-method-override"
        | "x-http-method"
        | "x-method-override"
        | "x-original-url"
        | "x-rewrite-url" => Kind::Override,
        "expect" => Kind::Expectation,
        "authorization" => Kind::Credentials,
        name if name.as_bytes().contains(&b'_') => Kind::Underscore,
        _ => return 0,
    };
    kind as u16
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use crate::{fields::HOP_BY_HOP, guard};

    #[test]
    fn every_name_that_matters_is_counted() {
        let check = |names: &[HeaderName], kind: Kind| {
            for name in names {
                let mut fields = HeaderMap::new();
                fields.insert(name, HeaderValue::from_static("a"));
                assert!(Census::of(&fields).has(kind), "{name}");
            }
        };
        check(&HOP_BY_HOP, Kind::HopByHop);
        for (position, name) in HOP_BY_HOP.iter().enumerate() {
            let fields = [(name.clone(), HeaderValue::from_static("a"))].into_iter().collect();
            let census = Census::of(&fields);
            assert!((0..8).all(|n| census.has_hop(n) == (n == position)), "{name}");
        }
        check(&guard::FORWARDING, Kind::Forwarding);
        check(&guard::OVERRIDES, Kind::Override);
        check(&[header::CONTENT_LENGTH, header::TRANSFER_ENCODING], Kind::Framing);
        check(&[header::EXPECT], Kind::Expectation);
        check(&[header::AUTHORIZATION], Kind::Credentials);
        check(&[HeaderName::from_static("x_user")], Kind::Underscore);
    }

    #[test]
    fn what_a_head_does_not_have_is_not_counted() {
        let mut fields = HeaderMap::new();
        for name in ["host", "accept", "user-agent", "x-user", "cookie", "via"] {
            fields.insert(name, HeaderValue::from_static("a"));
        }
        assert_eq!(Census::of(&fields), Census(0));
    }
}
