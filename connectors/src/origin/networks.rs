//! Which addresses may be called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks that are not public, by the registry of special addresses of IANA (RFC 6890 and later).
const NOT_PUBLIC_V4: [Ipv4Net; 17] = [
    v4([0, 0, 0, 0], 8),          // this network, with the unspecified address
    v4([10, 0, 0, 0], 8),         // private
    v4([100, 64, 0, 0], 10),      // shared by carriers (CGNAT)
    v4([127, 0, 0, 0], 8),        // loopback
    v4([168, 63, 129, 16], 32),   // the host of a virtual machine on Azure
    v4([169, 254, 0, 0], 16),     // link-local, with the metadata of clouds
    v4([172, 16, 0, 0], 12),      // private
    v4([192, 0, 0, 0], 24),       // assignments to protocols
    v4([192, 0, 2, 0], 24),       // documentation
    v4([192, 88, 99, 0], 24),     // relays of 6to4
    v4([192, 168, 0, 0], 16),     // private
    v4([198, 18, 0, 0], 15),      // benchmarks
    v4([198, 51, 100, 0], 24),    // documentation
    v4([203, 0, 113, 0], 24),     // documentation
    v4([224, 0, 0, 0], 4),        // multicast
    v4([240, 0, 0, 0], 4),        // reserved
    v4([255, 255, 255, 255], 32), // broadcast
];

/// The public unicast addresses of IPv6. All others are refused: unspecified, loopback, those that hold an address of
/// IPv4 (compatible, mapped, translated, NAT64), discard, unique-local, link-local, site-local and multicast.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0], 3);

/// Networks within [`PUBLIC_V6`] that are not public.
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0], 23),      // assignments to protocols: Teredo, benchmarks, ORCHID
    v6([0x2001, 0x0db8], 32), // documentation
    v6([0x2002, 0], 16),      // 6to4, which holds an address of IPv4
    v6([0x3fff, 0], 20),      // documentation
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b]: [u16; 2], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), bits)
}

/// Public addresses, and the private networks that are listed.
#[derive(Debug)]
pub(super) struct Networks {
    private: Vec<IpNet>,
}

impl Networks {
    pub(super) fn new(private: Vec<IpNet>) -> Self {
        Self { private }
    }

    pub(super) fn allow(&self, address: IpAddr) -> bool {
        is_public(address) || self.private.iter().any(|network| network.contains(&address))
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            PUBLIC_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(address: &str, private: &[&str]) -> bool {
        let private = private.iter().map(|network| network.parse().unwrap()).collect();
        Networks::new(private).allow(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in ["9.9.9.9", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.128.0.1", "198.20.0.1"] {
            assert!(allowed(address, &[]), "{address}");
        }
        for address in ["2606:4700::1111", "2a00:1450::8", "2001:200::1", "2003::1", "3ffe::1"] {
            assert!(allowed(address, &[]), "{address}");
        }
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_in_every_form() {
        let v4 = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 \
                  169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 \
                  198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255";
        let v6 = ":: ::1 ::127.0.0.1 ::9.9.9.9 ::ffff:127.0.0.1 ::ffff:9.9.9.9 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 \
                  64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: \
                  3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1";
        for address in v4.split_whitespace().chain(v6.split_whitespace()) {
            assert!(!allowed(address, &[]), "{address}");
        }
    }

    #[test]
    fn a_listed_network_is_allowed_and_nothing_beside_it() {
        let private = ["10.1.0.0/16", "fd12::/16"];
        for (address, expected) in [
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("fd12::1", true),
            ("fd13::1", false),
            ("::ffff:10.1.0.1", false),
            ("64:ff9b::a01:1", false),
            ("127.0.0.1", false),
            ("9.9.9.9", true),
        ] {
            assert_eq!(allowed(address, &private), expected, "{address}");
        }
    }
}
