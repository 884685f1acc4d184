//! The edge: which names a request may be sent to, and which peers may speak for others.
//!
//! A page in a browser on the server's own host reaches a loopback listener once its name resolves to 127.0.0.1 (DNS
//! rebinding): the request then names the page's host. And whoever reaches the listener past the proxy can write any
//! address into `X-Forwarded-For`.

use std::{net::IpAddr, str::FromStr};

use hyper::{HeaderMap, Uri, header, http::uri::Authority};

use super::error::HttpError;
use super::request::bad;
use crate::{
    api::BadRequest,
    domain::{Invalid, Peer},
};

/// The bits before the IPv4 address in one that is mapped to IPv6 (RFC 4291 §2.5.5.2).
const MAPPED_BITS: u8 = 96;
/// The longest name of a host, in characters (RFC 1035 §2.3.4).
const NAME_CHARS_MAX: usize = 253;

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Returns whether the address is in the range; an IPv4 address is one also where it is mapped.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let head = |bits: u128, width: u8| bits.checked_shr((width - self.prefix).into()).unwrap_or(0);
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                head(own.to_bits().into(), 32) == head(ip.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => head(own.to_bits(), 128) == head(ip.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("network", "an IP address, or one with a prefix length: 10.0.0.0/8");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.map_or(Ok(width), |prefix| prefix.parse().map_err(|_| invalid()))?;
        if prefix > width {
            return Err(invalid());
        }
        // A peer is known by its IPv4 address, so a range of mapped ones would contain nobody.
        match (address, address.to_canonical()) {
            (IpAddr::V6(_), address @ IpAddr::V4(_)) => {
                let prefix = prefix.checked_sub(MAPPED_BITS).ok_or_else(invalid)?;
                Ok(Self { address, prefix })
            }
            _ => Ok(Self { address, prefix }),
        }
    }
}

/// A name under which clients reach the server, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let fits = (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_part);
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        if fits && !name.is_empty() {
            return Ok(Self(name));
        }
        Err(Invalid::new("host name", "a name without scheme, port or path: vault.example.com"))
    }
}

/// The names and the proxies that the server accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    /// The names beside those that a loopback listener accepts anyway; none accepts all elsewhere.
    pub host_names: Vec<HostName>,
    /// The peers whose `X-Forwarded-For` is believed; none outside of a proxy. A unix socket is one, if there are any.
    pub trusted_proxies: Vec<Network>,
}

impl From<bool> for Edge {
    /// Returns the edge without names; behind a proxy it trusts the host itself.
    fn from(behind_proxy: bool) -> Self {
        let loopback = ["127.0.0.0/8", "::1"].map(|text| text.parse().expect("a constant network"));
        let trusted_proxies = if behind_proxy { loopback.to_vec() } else { Vec::new() };
        Self { trusted_proxies, ..Self::default() }
    }
}

impl Edge {
    /// Returns whether a proxy stands before the server.
    pub const fn is_proxied(&self) -> bool {
        !self.trusted_proxies.is_empty()
    }

    /// Returns whether this peer speaks for others.
    pub(super) fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => self.is_proxied(),
            Peer::Ip(ip) => self.trusted_proxies.iter().any(|network| network.contains(ip)),
        }
    }

    /// Returns the client: of a trusted proxy the last hop that it names, of everybody else the peer itself.
    ///
    /// # Errors
    /// A trusted proxy names no client, or not by an address.
    pub(super) fn client(&self, headers: &HeaderMap, peer: Peer) -> Result<Peer, HttpError> {
        if !self.trusts(peer) {
            return Ok(peer);
        }
        let last = headers.get_all("x-forwarded-for").iter().next_back();
        let hop = last.and_then(|value| value.to_str().ok()?.rsplit(',').next()).and_then(address);
        hop.map(Peer::Ip).ok_or_else(|| {
            let message = "The proxy must name the client's address in X-Forwarded-For";
            bad("invalid_forwarded_for", message.to_owned())
        })
    }

    /// Checks that a request was meant for this server.
    ///
    /// # Errors
    /// `Host` names another one, or not the authority of the target.
    pub(super) fn check_host(
        &self,
        headers: &HeaderMap,
        target: &Uri,
        is_loopback: bool,
    ) -> Result<(), HttpError> {
        // A browser always sends it; HTTP/1.0 may leave it out.
        let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else {
            return Ok(());
        };
        if target.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host)) {
            let message = "Host must be the authority of the target".to_owned();
            return Err(HttpError::Bad(BadRequest { code: "invalid_host", message }));
        }
        if !is_loopback && self.host_names.is_empty() {
            return Ok(());
        }
        let name = host.parse::<Authority>().map(|host| host.host().to_ascii_lowercase()).unwrap_or_default();
        let name = name.trim_end_matches('.');
        let is_own = || {
            let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
            name == "localhost" || bare.parse::<IpAddr>().is_ok()
        };
        let is_known = self.host_names.iter().any(|known| known.0 == name) || (is_loopback && is_own());
        if is_known { Ok(()) } else { Err(HttpError::Misdirected) }
    }
}

/// Checks that no page of another origin made the request.
///
/// # Errors
/// It has an `Origin` that is not the server that `Host` names.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), HttpError> {
    let host = headers.get(header::HOST).map(header::HeaderValue::as_bytes);
    for origin in headers.get_all(header::ORIGIN) {
        let authority = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, rest)| rest);
        let is_own =
            |authority: &str| host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_bytes()));
        if !authority.is_some_and(is_own) {
            return Err(HttpError::ForeignOrigin);
        }
    }
    Ok(())
}

/// Reads a hop: an address, with or without a port (`192.0.2.1:5555`, `[2001:db8::1]:443`).
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip);
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Some(socket.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_its_addresses_and_no_other() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "::ffff:192.0.2.6"),
            ("192.0.2.4/30", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "192.0.2.1", "2001:db8::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("::ffff:192.0.2.4/126", "192.0.2.7", "192.0.2.8"),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7", "192.0.2.6"),
        ] {
            assert!(network(range).contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!network(range).contains(outside.parse().unwrap()), "{range} {outside}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/",
            "::/129",
            "::ffff:0:0/95",
            "example.com",
            "10.0.0.0/8/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_hop_is_an_address_with_or_without_a_port() {
        for (text, ip) in [
            ("7.7.7.7", "7.7.7.7"),
            (" 7.7.7.7:5555 ", "7.7.7.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            assert_eq!(address(text), Some(ip.parse().unwrap()), "{text}");
        }
        for text in ["", "unknown", "_hidden", "7.7.7", "7.7.7.7:", "7.7.7.7:99999", "[7.7.7.7", "a:1"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_name_is_a_name_alone() {
        assert_eq!(
            "Vault.Example.com.".parse::<HostName>().unwrap(),
            HostName("vault.example.com".to_owned())
        );
        for text in ["", ".", "https://a", "a:1", "a/b", "a b", "*"] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }
}
