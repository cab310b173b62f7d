//! Which address a request really comes from, with proxies in between.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The peer, unless it is a trusted proxy: then the rightmost address of all `X-Forwarded-For`
/// lines that is no trusted proxy. Everything left of that the client may have made up.
pub(super) fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or("?")).collect();
    for hop in lines.iter().flat_map(|line| line.split(',')).rev() {
        let Ok(ip) = hop.trim().parse::<IpAddr>() else { break };
        client = ip.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// Whether the peer looks like a proxy of ours that nobody told us of: then all its clients count
/// as one, and are limited as one.
pub(super) fn is_unknown_proxy(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    let is_near = match peer {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback(),
    };
    is_near && headers.contains_key("x-forwarded-for") && !trusted.iter().any(|network| network.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        client_ip(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn what_a_client_puts_in_front_is_not_believed() {
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", " 198.51.100.1 ", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, nonsense, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_proxy_that_nobody_named_is_noticed() {
        let forwarded = HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), HeaderValue::from_static("a"))]);
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let unknown = |peer: &str, headers: &HeaderMap| is_unknown_proxy(peer.parse().unwrap(), headers, &trusted);
        for near in ["127.0.0.1", "192.168.1.1", "::1", "fd00::1", "::ffff:172.16.0.1"] {
            assert!(unknown(near, &forwarded), "{near}");
            assert!(!unknown(near, &HeaderMap::new()), "{near}");
        }
        assert!(!unknown("10.0.0.1", &forwarded), "a trusted one");
        assert!(!unknown("203.0.113.1", &forwarded), "anybody on the internet");
    }
}
