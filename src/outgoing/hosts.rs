//! Hosts that may be called, and the base URL of an API.

use std::{fmt, str::FromStr};

use url::{Host, Url};

use crate::domain::Invalid;

/// The port of https.
const HTTPS: u16 = 443;

/// A host that the settings allow: `host`, `host:port`, `[address]:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    host: Host<String>,
    port: u16,
}

impl AllowedHost {
    pub(super) fn is(&self, base: &ApiBase) -> bool {
        self.host == base.host && self.port == base.port
    }
}

impl FromStr for AllowedHost {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = Invalid::new(
            "host",
            "a host like api.github.com or ghe.example.com:8443, without scheme and path",
        );
        // The rest that a URL may hold between scheme and path, and that it would drop in silence.
        let is_plain = |c: char| c.is_alphanumeric() || ".-_[]:".contains(c);
        if text.is_empty() || !text.chars().all(is_plain) {
            return Err(invalid);
        }
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| invalid)?;
        let host = url.host().map(|host| host.to_owned()).ok_or(invalid)?;
        Ok(Self { host, port: url.port().unwrap_or(HTTPS) })
    }
}

/// The base URL of a provider's API: https, a host, and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiBase {
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// Without a slash at its end.
    pub(super) path: String,
}

impl ApiBase {
    /// Returns GitHub's own.
    pub fn github() -> Self {
        Self { host: Host::Domain("api.github.com".to_owned()), port: HTTPS, path: String::new() }
    }

    /// Returns the value of the `Host` header.
    pub(super) fn authority(&self) -> String {
        if self.port == HTTPS { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl FromStr for ApiBase {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = Invalid::new(
            "config.api_base_url",
            "an https URL of host and path, like https://ghe.example.com/api/v3",
        );
        let is_visible =
            text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['@', '\\', '?', '#']);
        let url = Url::parse(text).ok().filter(|_| is_visible).filter(|url| url.scheme() == "https");
        let url = url.ok_or(invalid)?;
        let host = url.host().map(|host| host.to_owned()).ok_or(invalid)?;
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(HTTPS), path })
    }
}

impl fmt::Display for ApiBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> ApiBase {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn a_host_allows_its_own_port_and_no_other() {
        let allows = |host: &str, url: &str| host.parse::<AllowedHost>().unwrap().is(&base(url));
        assert!(allows("api.github.com", "https://api.github.com"));
        assert!(allows("API.GitHub.com", "https://api.github.COM:443/"));
        assert!(allows("ghe.example.com:8443", "https://ghe.example.com:8443/api/v3"));
        assert!(allows("[::1]:8443", "https://[::1]:8443"));
        assert!(allows("127.0.0.1", "https://127.1"));
        for (host, url) in [
            ("api.github.com", "https://api.github.com:8443"),
            ("api.github.com", "https://evil.api.github.com"),
            ("api.github.com", "https://api.github.com.evil.example"),
            ("ghe.example.com:8443", "https://ghe.example.com"),
            ("github.com", "https://api.github.com"),
            ("127.0.0.1", "https://127.0.0.2"),
        ] {
            assert!(!allows(host, url), "{host} {url}");
        }
        for host in [
            "",
            "*",
            "*.github.com",
            "https://api.github.com",
            "api.github.com/",
            "a b",
            "a:b",
            "a:99999",
            "u@h",
            "[::1",
        ] {
            assert!(host.parse::<AllowedHost>().is_err(), "{host}");
        }
    }

    #[test]
    fn a_base_is_https_and_only_host_and_path() {
        assert_eq!(base("https://ghe.example.com/api/v3/").to_string(), "https://ghe.example.com/api/v3");
        assert_eq!(base("https://api.github.com"), ApiBase::github());
        assert_eq!(base("https://api.github.com").authority(), "api.github.com");
        assert_eq!(base("https://[::1]:8443/x").authority(), "[::1]:8443");
        for text in [
            "",
            "http://api.github.com",
            "https://",
            "https://user@api.github.com",
            "https://user:pw@api.github.com",
            "https://@api.github.com",
            "https://api.github.com?x=1",
            "https://api.github.com#x",
            "https:\\\\api.github.com",
            "https://api.github.com/a b",
            "file:///etc/passwd",
            "api.github.com",
        ] {
            assert!(text.parse::<ApiBase>().is_err(), "{text}");
        }
    }
}
