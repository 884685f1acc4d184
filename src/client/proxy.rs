//! Proxies of the environment, in the spelling that curl reads: `https_proxy`, `http_proxy` and `all_proxy`, then the
//! same in upper case except `HTTP_PROXY`, and `no_proxy` or `NO_PROXY` for exceptions.
//!
//! A CGI script's environment contains a stranger's `Proxy:` header as `HTTP_PROXY`; so curl does not read that
//! spelling, nor does this client. Two things differ from curl. A server on this very host is never reached through a
//! proxy, to which that address means another host, and which would take a token in the clear off this one. And SOCKS
//! is not supported.

use std::{env, ffi::OsString, fmt};

use hyper::{Uri, header::HeaderValue};
use hyper_util::client::proxy::matcher::Matcher;

use super::{Endpoint, Error, ProxyFailure};

/// The default port of a proxy, as in curl.
const PORT: u16 = 1080;
const TLS_PORT: u16 = 443;

/// The proxies that a client may use.
#[derive(Default)]
pub struct Proxies {
    /// The variable and its text, for servers without TLS and for those with it.
    http: Option<(&'static str, OsString)>,
    https: Option<(&'static str, OsString)>,
    without: String,
}

impl Proxies {
    /// Returns no proxies at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the proxies that the environment names.
    pub fn of_environment() -> Self {
        Self::read(|name| env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: &[&'static str]| {
            let mut set = names.iter().filter_map(|name| Some((*name, variable(name)?)));
            set.find(|(_, text)| !text.is_empty())
        };
        let all = first(&["all_proxy", "ALL_PROXY"]);
        let without = first(&["no_proxy", "NO_PROXY"]).map(|(_, text)| text.to_string_lossy().into_owned());
        Self {
            http: first(&["http_proxy"]).or_else(|| all.clone()),
            https: first(&["https_proxy", "HTTPS_PROXY"]).or(all),
            without: without.unwrap_or_default(),
        }
    }

    /// Returns the proxy for that server.
    ///
    /// # Errors
    /// The variable that applies to it names no usable proxy.
    pub(super) fn of(&self, endpoint: &Endpoint) -> Result<Option<Proxy>, Error> {
        let Endpoint::Tcp { tls, origin, loopback: false, .. } = endpoint else { return Ok(None) };
        let Some((variable, text)) = (if *tls { &self.https } else { &self.http }) else { return Ok(None) };
        // The text may contain a password: it is shown only once it has been parsed.
        let unusable = || Error::Proxy { proxy: String::new(), variable, failure: ProxyFailure::Unusable };
        let target: Uri = origin.parse().map_err(|_| unusable())?;
        // Blanks also separate the names of that list, and a dot at a name's end has no effect.
        let without: Vec<&str> =
            self.without.split([',', ' ', '\t']).map(|name| name.trim_end_matches('.')).collect();
        let matcher = |proxy: &str| Matcher::builder().all(proxy).no(without.join(",")).build();
        // The matcher applies `*` to names, and not to addresses.
        if without.contains(&"*") || matcher("http://proxy").intercept(&target).is_none() {
            return Ok(None);
        }
        let text = text.to_str().ok_or_else(unusable)?.trim();
        let found = matcher(text).intercept(&target).ok_or_else(unusable)?;
        let (tls, port) = match found.uri().scheme_str() {
            Some("http") => (false, PORT),
            Some("https") => (true, TLS_PORT),
            _ => return Err(unusable()),
        };
        let name = found.uri().host().filter(|host| !host.is_empty()).ok_or_else(unusable)?;
        let port = found.uri().port_u16().unwrap_or(port);
        let scheme = if tls { "https" } else { "http" };
        Ok(Some(Proxy {
            shown: format!("{scheme}://{name}:{port}"),
            host: name.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            tls,
            authorization: found.basic_auth().cloned(),
            variable,
        }))
    }
}

/// A proxy on the way to one server.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    /// The proxy, without user name and password.
    shown: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) authorization: Option<HeaderValue>,
    variable: &'static str,
}

impl Proxy {
    pub(super) fn failed(&self, failure: ProxyFailure) -> Error {
        Error::Proxy { proxy: self.shown.clone(), variable: self.variable, failure }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.shown, self.variable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(set: &[(&str, &str)]) -> Proxies {
        Proxies::read(|name| set.iter().find(|(set, _)| *set == name).map(|(_, text)| text.into()))
    }

    fn of(set: &[(&str, &str)], server: &str) -> Option<String> {
        proxies(set).of(&server.parse().unwrap()).unwrap().map(|proxy| proxy.to_string())
    }

    #[test]
    fn a_variable_is_read_as_curl_reads_it() {
        const TLS: &str = "https://vault.example.com";
        const PLAIN: &str = "http://vault.example.com:3029";
        for (set, server, wanted) in [
            (&[][..], TLS, None),
            (&[("HTTPS_PROXY", "http://p:3128")], TLS, Some("http://p:3128 of HTTPS_PROXY")),
            (&[("HTTPS_PROXY", "http://p:3128")], PLAIN, None),
            (
                &[("HTTPS_PROXY", "http://p:1"), ("https_proxy", "http://q:2")],
                TLS,
                Some("http://q:2 of https_proxy"),
            ),
            (&[("HTTPS_PROXY", "http://p:1"), ("https_proxy", "")], TLS, Some("http://p:1 of HTTPS_PROXY")),
            (&[("HTTPS_PROXY", "")], TLS, None),
            (&[("http_proxy", "p:3128")], PLAIN, Some("http://p:3128 of http_proxy")),
            (&[("HTTP_PROXY", "http://p:3128")], PLAIN, None),
            (&[("http_proxy", "http://p:3128")], TLS, None),
            (&[("ALL_PROXY", "https://p")], TLS, Some("https://p:443 of ALL_PROXY")),
            (&[("ALL_PROXY", "p")], PLAIN, Some("http://p:1080 of ALL_PROXY")),
            (
                &[("ALL_PROXY", "http://p:1"), ("all_proxy", "http://q:2")],
                TLS,
                Some("http://q:2 of all_proxy"),
            ),
            (
                &[("ALL_PROXY", "http://p:1"), ("HTTPS_PROXY", "http://q:2")],
                TLS,
                Some("http://q:2 of HTTPS_PROXY"),
            ),
            (&[("HTTPS_PROXY", "http://[fd00::1]:8080")], TLS, Some("http://[fd00::1]:8080 of HTTPS_PROXY")),
        ] {
            assert_eq!(of(set, server).as_deref(), wanted, "{set:?}");
        }
    }

    #[test]
    fn what_no_proxy_names_goes_without() {
        for (without, server, proxied) in [
            ("", "https://vault.example.com", true),
            ("*", "https://vault.example.com", false),
            ("a.test, *", "https://10.0.0.1", false),
            ("example.com", "https://vault.example.com", false),
            (".example.com", "https://vault.example.com:8443", false),
            ("Example.COM.", "https://example.com", false),
            ("a.test, example.com b.test", "https://vault.example.com", false),
            ("a.test example.com", "https://vault.example.com", false),
            ("ample.com", "https://vault.example.com", true),
            ("10.0.0.0/8", "https://10.2.3.4", false),
            ("10.0.0.0/8", "https://11.2.3.4", true),
            ("fd00::/8", "https://[fd00::7]:3029", false),
            ("fd00::7", "https://[fd00::8]", true),
        ] {
            for name in ["no_proxy", "NO_PROXY"] {
                let set = [("HTTPS_PROXY", "http://p:3128"), (name, without)];
                assert_eq!(of(&set, server).is_some(), proxied, "{without} {server}");
            }
        }
    }

    #[test]
    fn this_very_host_is_never_asked_for_through_a_proxy() {
        let all = [
            ("all_proxy", "http://p:3128"),
            ("http_proxy", "http://p:3128"),
            ("https_proxy", "http://p:3128"),
        ];
        for server in [
            "http://127.0.0.1:3029",
            "http://localhost",
            "https://[::1]:3029",
            "https://127.1.2.3",
            "unix:/run/v.sock",
        ] {
            assert_eq!(of(&all, server), None, "{server}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_that_shows_no_password() {
        let server = "https://vault.example.com".parse().unwrap();
        for text in [
            "socks5://ada:example@p:1080",
            "ftp://ada:example@p",
            "http://ada:ex ample@p:x",
            "http://",
            "://",
        ] {
            let error = proxies(&[("HTTPS_PROXY", text)]).of(&server).unwrap_err().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("ample"), "{error}");
            let set = [("HTTPS_PROXY", text), ("NO_PROXY", "example.com")];
            assert!(proxies(&set).of(&server).unwrap().is_none(), "{text}: not needed, so not judged");
        }
        let set = [("HTTPS_PROXY", "http://ada:ex%40mple@p:3128")];
        let proxy = proxies(&set).of(&server).unwrap().unwrap();
        assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic YWRhOmV4QG1wbGU=");
        let shown = format!("{proxy} {proxy:?}");
        assert!(!shown.contains("mple") && !shown.contains("YWRh"), "{shown}");
    }
}
