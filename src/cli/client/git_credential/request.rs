//! A question of git's credential protocol (gitcredentials(7), git-credential(1)), and the project that it is about.

use url::{Host, Url};

use crate::client::Project;

/// Maximum size of a question.
pub(super) const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// The attributes of a question that an answer depends on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    protocol: String,
    host: String,
    path: Option<String>,
    /// The user that the URL names.
    pub(super) username: Option<String>,
    /// True if git knows the attributes of 2.46.
    pub(super) knows_authtype: bool,
}

impl Request {
    /// Reads `name=value` lines up to an empty one; `None` if they are not what git writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut request = Self::default();
        for line in text.split('\n').take_while(|line| !line.is_empty()) {
            // git refuses to write a line end or a NUL in a value.
            let (name, value) = line.split_once('=')?;
            match name {
                "protocol" => value.clone_into(&mut request.protocol),
                "host" => value.clone_into(&mut request.host),
                "path" => request.path = Some(value.to_owned()).filter(|path| !path.is_empty()),
                "username" => request.username = Some(value.to_owned()),
                "capability[]" if value == "authtype" => request.knows_authtype = true,
                // Later versions of git ask with more.
                _ => {}
            }
        }
        Some(request)
    }

    /// Returns the projects whose repository the question is about; without a path, all of that host.
    pub(super) fn projects<'a>(&self, all: &'a [Project]) -> Vec<&'a Project> {
        let Some(asked) = self.origin() else { return Vec::new() };
        let is_asked = |project: &&Project| {
            let url = project.remote_url.as_deref().and_then(|url| Url::parse(url).ok());
            url.is_some_and(|url| {
                origin(&url) == origin(&asked)
                    && self.path.as_deref().is_none_or(|path| repository(path) == repository(url.path()))
            })
        };
        all.iter().filter(is_asked).collect()
    }

    /// Returns scheme, host and port, if the host is nothing else: `host=good.example@evil.example` is two hosts.
    fn origin(&self) -> Option<Url> {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if !matches!(self.protocol.as_str(), "https" | "http") || !self.host.chars().all(is_plain) {
            return None;
        }
        Url::parse(&format!("{}://{}/", self.protocol, self.host)).ok().filter(is_private)
    }
}

/// Returns whether nobody between git and the host reads what is sent: by https, or on this machine.
pub(super) fn is_private(url: &Url) -> bool {
    let is_here = |host| match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    url.scheme() == "https" || (url.scheme() == "http" && url.host().is_some_and(is_here))
}

/// Scheme, host and port, as parsed; equal only where a request goes to the same place.
fn origin(url: &Url) -> (&str, Option<Host<&str>>, Option<u16>) {
    (url.scheme(), url.host(), url.port_or_known_default())
}

/// Returns the path of a repository, however git or LFS spells it.
fn repository(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    let path = path.strip_suffix("/info/lfs").unwrap_or(path).trim_end_matches('/');
    path.strip_suffix(".git").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn project(identifier: &str, url: &str) -> Project {
        serde_json::from_value(serde_json::json!({
            "identifier": identifier, "remoteUrl": url, "platform": "github", "version": 1, "configuration": {},
            "createdAt": "2026-11-24T10:00:00.000Z", "updatedAt": "2026-11-24T10:00:00.000Z", "integrations": [],
        }))
        .unwrap()
    }

    fn asked(protocol: &str, host: &str, path: &str) -> Vec<String> {
        let all = [
            project("acme/app", "https://github.com/acme/app.git"),
            project("acme/web", "https://github.com/acme/web"),
            project("acme/own", "https://git.example.com:8443/acme/own"),
            project("acme/ssh", "git@github.com:acme/ssh.git"),
            project("acme/plain", "http://git.example.com/acme/plain"),
            project("acme/here", "http://127.0.0.1:3000/acme/here"),
            project("acme/name", "http://localhost/acme/name"),
            project("acme/six", "http://[::1]/acme/six"),
            project("acme/trick", "http://localhost.example.com/acme/trick"),
            project("acme/near", "http://128.0.0.1/acme/near"),
        ];
        let request = Request::parse(&format!("protocol={protocol}\nhost={host}\npath={path}\n\n")).unwrap();
        request.projects(&all).iter().map(|one| one.identifier.clone()).collect()
    }

    #[test]
    fn a_question_about_another_place_never_finds_a_project() {
        for (protocol, host, path, found) in [
            ("https", "github.com", "acme/app.git", &["acme/app"][..]),
            ("https", "github.com", "acme/app", &["acme/app"]),
            ("https", "GitHub.com:443", "acme/app.git/", &["acme/app"]),
            ("https", "github.com", "acme/app.git/info/lfs", &["acme/app"]),
            ("https", "github.com", "", &["acme/app", "acme/web"]),
            ("https", "git.example.com:8443", "acme/own.git", &["acme/own"]),
            ("http", "127.0.0.1:3000", "acme/here", &["acme/here"]),
            ("http", "LOCALHOST", "acme/name.git", &["acme/name"]),
            ("http", "[::1]", "acme/six", &["acme/six"]),
            ("http", "git.example.com", "acme/plain", &[]),
            ("http", "localhost.example.com", "acme/trick", &[]),
            ("http", "128.0.0.1", "acme/near", &[]),
            ("https", "git.example.com", "acme/own.git", &[]),
            ("http", "github.com", "acme/app.git", &[]),
            ("https", "github.com:8443", "acme/app.git", &[]),
            ("https", "github.com", "acme/App", &[]),
            ("https", "github.com", "acme/app2", &[]),
            ("https", "github.com", "acme", &[]),
            ("https", "github.com", "acme/ssh", &[]),
            ("ssh", "github.com", "acme/ssh", &[]),
            ("https", "github.com.", "acme/app", &[]),
            ("https", "github.com.evil.example", "acme/app", &[]),
            ("https", "evil-github.com", "acme/app", &[]),
            ("https", "gıthub.com", "acme/app", &[]),
            ("https", "github.com@evil.example", "acme/app", &[]),
            ("https", "evil.example/github.com", "acme/app", &[]),
            ("https", "evil.example#github.com", "acme/app", &[]),
            ("https", "github.com\\.evil.example", "acme/app", &[]),
            ("https", "git@github.com", "acme/app", &[]),
            ("https", "", "acme/app", &[]),
        ] {
            assert_eq!(asked(protocol, host, path), found, "{protocol} {host} {path}");
        }
    }

    #[test]
    fn what_git_does_not_write_is_no_question() {
        assert_eq!(Request::parse("protocol"), None);
        let request =
            Request::parse("capability[]=authtype\nprotocol=https\nhost=h\nnew[]=x\n\nhost=evil").unwrap();
        assert!(request.knows_authtype && request.host == "h" && request.path.is_none());
    }

    proptest! {
        /// Whatever stands around the host of a project: a question finds it only if its URL would go there.
        #[test]
        fn only_the_host_itself_is_the_host(before in "[a-z0-9.@:/\\\\#?%\\[\\]-]{0,8}", after in "[a-z0-9.@:/\\\\#?%\\[\\]-]{0,8}") {
            let host = format!("{before}github.com{after}");
            let found = !asked("https", &host, "acme/app").is_empty();
            let goes_there = matches!(after.as_str(), "" | ":" | ":443") && before.is_empty();
            prop_assert!(!found || goes_there, "{}", host);
        }
    }
}
