//! A range of internet addresses.

use std::{fmt, net::IpAddr, str::FromStr};

/// Addresses that share a prefix, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address with an optional prefix length, such as `10.0.0.0/8` or `::1`")]
pub struct IpNetError;

impl IpNet {
    /// Is this address in the range? An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(a)) => {
                shared(u128::from(net.to_bits() ^ a.to_bits()) << 96, self.prefix)
            }
            (IpAddr::V6(net), IpAddr::V6(a)) => shared(net.to_bits() ^ a.to_bits(), self.prefix),
            _ => false,
        }
    }
}

fn shared(difference: u128, prefix: u8) -> bool {
    difference.leading_zeros() >= u32::from(prefix)
}

impl FromStr for IpNet {
    type Err = IpNetError;

    fn from_str(text: &str) -> Result<Self, IpNetError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| IpNetError)?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(p) => p.parse().map_err(|_| IpNetError)?,
            None => widest,
        };
        if prefix > widest { Err(IpNetError) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_shares_its_prefix() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:1::", true),
            ("::/0", "2001::", true),
        ];
        for (net, address, expected) in cases {
            let net: IpNet = net.parse().unwrap();
            assert_eq!(net.contains(address.parse().unwrap()), expected, "{net} {address}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0.0/", "a/8", "::/129", "10.0.0.0/-1"] {
            assert_eq!(bad.parse::<IpNet>(), Err(IpNetError), "{bad}");
        }
    }
}
