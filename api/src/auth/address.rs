//! The address a request came from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// The address of the sender: that of the peer, or, where the peer is a proxy that is trusted, the
/// last address of `X-Forwarded-For` that is not one too. A header from anybody else is not read.
pub fn client_address(peer: Option<SocketAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |p| p.ip().to_canonical());
    if trusted.is_empty() || !in_networks(peer, trusted) {
        return peer;
    }
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut address = peer;
    for hop in hops.into_iter().rev() {
        let Some(next) = parse_hop(hop.trim()) else {
            break;
        };
        address = next;
        if !in_networks(address, trusted) {
            break;
        }
    }
    address
}

/// An address with or without a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .map(|ip| ip.to_canonical())
}

/// Whether an address lies in one of the networks. IPv4 written as IPv6 counts as IPv4.
pub fn in_networks(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn seen(peer: &str, forwarded: Option<&str>, trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        if let Some(value) = forwarded {
            headers.insert(
                HeaderName::from_static("x-forwarded-for"),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|t| t.parse().unwrap()).collect();
        client_address(Some(peer.parse().unwrap()), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        assert_eq!(seen("9.9.9.9:1", Some("10.0.0.1"), &[]), "9.9.9.9");
        assert_eq!(
            seen("9.9.9.9:1", Some("10.0.0.1"), &["10.0.0.0/8"]),
            "9.9.9.9"
        );
    }

    #[test]
    fn behind_proxies_it_is_the_last_one_not_trusted() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(
            seen("10.0.0.1:1", Some("1.1.1.1, 2.2.2.2"), &trusted),
            "2.2.2.2"
        );
        assert_eq!(
            seen("10.0.0.1:1", Some("1.1.1.1, 10.0.0.2"), &trusted),
            "1.1.1.1"
        );
        assert_eq!(
            seen("10.0.0.1:1", Some("junk, 10.0.0.2"), &trusted),
            "10.0.0.2"
        );
        assert_eq!(seen("10.0.0.1:1", None, &trusted), "10.0.0.1");
        assert_eq!(
            seen("10.0.0.1:1", Some("[2001:db8::1]:80"), &trusted),
            "2001:db8::1"
        );
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        assert_eq!(
            seen("[::ffff:10.0.0.1]:1", Some("3.3.3.3"), &["10.0.0.0/8"]),
            "3.3.3.3"
        );
        let networks = ["127.0.0.0/8".parse().unwrap()];
        assert!(in_networks("::ffff:127.0.0.1".parse().unwrap(), &networks));
    }
}
