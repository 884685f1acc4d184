//! Addresses that are never called, whatever name leads there: those where a cloud answers its machines with their
//! own credentials, and those that mean no single other host.
//!
//! Private and loopback addresses are not among them: a GitHub Enterprise server has one. Its name must be listed, as
//! every other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside of the link-local ranges: Alibaba Cloud, Azure, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// Likewise: Amazon Web Services, Google Cloud.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// Returns whether an address is never called.
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_forbidden_v4(address),
        IpAddr::V6(address) => {
            METADATA_V6.contains(&address)
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address.is_unspecified()
                || embedded(address).is_some_and(is_forbidden_v4)
        }
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    METADATA_V4.contains(&address)
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        // The whole of 0.0.0.0/8 is "this host" (RFC 6890).
        || address.octets()[0] == 0
}

/// Returns the IPv4 address to which a gateway translates: NAT64 (RFC 6052), 6to4 (RFC 3056), and the compatible form.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_metadata_address_is_called() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "::",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "ff02::1",
        ] {
            assert!(is_forbidden(text.parse().unwrap()), "{text}");
        }
        for text in
            ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "140.82.121.6", "fd00::1", "2606:50c0:8000::1"]
        {
            assert!(!is_forbidden(text.parse().unwrap()), "{text}");
        }
    }
}
