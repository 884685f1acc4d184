//! Projects: the repositories to which credentials are scoped.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use url::{Host, Url};

use super::{Invalid, Json, Timestamp, text_enum::text_enum};

/// The longest project identifier, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 200;
/// The most segments of one: GitLab nests groups twenty deep.
const SEGMENTS_MAX: usize = 20;
/// The longest remote URL, in bytes: what git hosts accept is far shorter.
const REMOTE_URL_BYTES_MAX: usize = 2_000;

/// 1 to 20 segments such as `org/repo` or `payments`; exact and case-sensitive, printable ASCII without `%`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(String);

impl ProjectId {
    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an identifier that a row or a record holds. A `%`, which was let in once, still reads.
    pub fn recorded(text: &str) -> Option<Self> {
        is_printable(text).then_some(())?;
        is_path(text).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ProjectId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |rule| Invalid::new("project identifier", rule);
        // Encoded or literal: two programs would read two names.
        if text.contains('%') {
            return Err(invalid("written plainly, without %: a blank as a blank, a slash as a slash"));
        }
        if !is_printable(text) {
            return Err(invalid("1 to 200 printable ASCII characters"));
        }
        if !is_path(text) {
            return Err(invalid(
                "1 to 20 segments like org/repo, none of them empty, . or .., nor with a blank at its ends",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_printable(text: &str) -> bool {
    (1..=IDENTIFIER_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn is_path(text: &str) -> bool {
    let is_segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.trim_matches(' ') == segment;
    text.split('/').count() <= SEGMENTS_MAX && text.split('/').all(is_segment)
}

text_enum! {
    /// The host of a project.
    Platform, "platform", "one of github, gitlab, bitbucket, azure-devops, other" {
        /// GitHub.
        Github = "github",
        /// GitLab.
        Gitlab = "gitlab",
        /// Bitbucket.
        Bitbucket = "bitbucket",
        /// Azure DevOps.
        AzureDevops = "azure-devops",
        /// Anything else.
        Other = "other",
    }
}

impl Platform {
    /// Returns whether this is a public host of the platform, or below one.
    pub fn serves(self, host: &str) -> bool {
        let domains: &[&str] = match self {
            Self::Github => &["github.com"],
            Self::Gitlab => &["gitlab.com"],
            Self::Bitbucket => &["bitbucket.org"],
            Self::AzureDevops => &["dev.azure.com", "visualstudio.com"],
            Self::Other => &[],
        };
        let host = host.trim_end_matches('.');
        let is_under = |domain: &&str| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        domains.iter().any(is_under)
    }
}

/// The URL of a project's repository: http(s), ssh, or the scp form `user@host:org/repo.git`; never with a
/// password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    text: String,
    host: String,
}

impl RemoteUrl {
    /// The URL as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host after parsing, in lower case; empty where an earlier version stored what has none.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Reads a URL that a row holds: forms that were let in once still read.
    pub fn recorded(text: String) -> Option<Self> {
        if !is_visible(&text) {
            return None;
        }
        let host = text.parse().map_or_else(|_| String::new(), |url: Self| url.host);
        Some(Self { text, host })
    }

    /// The platform whose public host this is, or whose name leads or ends the host's labels.
    pub fn platform(&self) -> Platform {
        let host = self.host.trim_end_matches('.');
        let label = |name: &str| host.split('.').any(|label| label == name);
        if Platform::Github.serves(host) || label("github") {
            Platform::Github
        } else if Platform::Gitlab.serves(host) || label("gitlab") {
            Platform::Gitlab
        } else if Platform::Bitbucket.serves(host) || label("bitbucket") {
            Platform::Bitbucket
        } else if Platform::AzureDevops.serves(host) {
            Platform::AzureDevops
        } else {
            Platform::Other
        }
    }
}

impl FromStr for RemoteUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !is_visible(text) {
            return Err(FORM);
        }
        let host = match text.split_once("://") {
            Some((scheme, _)) if matches!(&*scheme.to_ascii_lowercase(), "http" | "https") => web_host(text)?,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ssh") => ssh_host(text, rest)?,
            Some(_) => return Err(FORM),
            None => scp_host(text)?,
        };
        let name = host.to_string();
        // `ssh` would take it for an option.
        if name.is_empty() || name.starts_with('-') {
            return Err(FORM);
        }
        Ok(Self { text: text.to_owned(), host: name })
    }
}

const FORM: Invalid = Invalid::new("remoteUrl", "an http(s) or ssh URL, or user@host:org/repo.git");
const PASSWORD: Invalid = Invalid::new("remoteUrl", "a URL without a password: store that as an integration");
const USER: Invalid =
    Invalid::new("remoteUrl", "an http(s) URL without a user name: drop what is before the @");

fn is_visible(text: &str) -> bool {
    (1..=REMOTE_URL_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn web_host(text: &str) -> Result<Host<String>, Invalid> {
    let url = Url::parse(text).map_err(|_| FORM)?;
    if url.password().is_some() {
        return Err(PASSWORD);
    }
    // An empty user name too, which the parser drops.
    let authority = text.split("://").nth(1).and_then(|rest| rest.split(['/', '\\', '?', '#']).next());
    if !url.username().is_empty() || authority.is_some_and(|authority| authority.contains('@')) {
        return Err(USER);
    }
    // `https:///host` is a host to a browser and none to git.
    if authority.is_none_or(str::is_empty) {
        return Err(FORM);
    }
    url.host().map(|host| host.to_owned()).ok_or(FORM)
}

fn ssh_host(text: &str, rest: &str) -> Result<Host<String>, Invalid> {
    // Git ends the host at a slash, the parser earlier: where they differ, one of them sees another host.
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains(['\\', '?', '#']) {
        return Err(FORM);
    }
    if let Some((user, _)) = authority.rsplit_once('@') {
        check_user(user)?;
    }
    let url = Url::parse(text).map_err(|_| FORM)?;
    if url.password().is_some() {
        return Err(PASSWORD);
    }
    // The parser takes the host of this scheme as it stands.
    url.host_str().ok_or(FORM).and_then(host)
}

/// `user@host:path` and `user@[address]:path`, as git reads them.
fn scp_host(text: &str) -> Result<Host<String>, Invalid> {
    let (user, rest) = text.split_once('@').ok_or(FORM)?;
    check_user(user)?;
    let (name, path) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (address, path) = rest.split_once("]:").ok_or(FORM)?;
            let address: Ipv6Addr = address.parse().map_err(|_| FORM)?;
            (format!("[{address}]"), path)
        }
        None => rest.split_once(':').map(|(name, path)| (name.to_owned(), path)).ok_or(FORM)?,
    };
    if path.is_empty() { Err(FORM) } else { host(&name) }
}

fn check_user(user: &str) -> Result<(), Invalid> {
    // Encoded, a colon hides there.
    if user.contains([':', '%']) {
        return Err(PASSWORD);
    }
    let plain =
        !user.is_empty() && !user.starts_with('-') && !user.contains(['@', '/', '\\', '?', '#', '[', ']']);
    if plain { Ok(()) } else { Err(FORM) }
}

fn host(name: &str) -> Result<Host<String>, Invalid> {
    if name.contains('%') {
        return Err(FORM);
    }
    Host::parse(name).map_err(|_| FORM)
}

/// A registered project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name in every other call.
    pub identifier: ProjectId,
    /// The URL of its repository, if it has one.
    pub remote_url: Option<RemoteUrl>,
    /// The host of its repository.
    pub platform: Platform,
    /// Configuration that its owner keeps with it, as given.
    pub configuration: Json,
    /// The time of its registration.
    pub created_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
    /// Raised by each write.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_one_to_twenty_segments_of_printable_ascii() {
        let deep = ["g"; 20].join("/");
        for text in [
            "acme/app",
            "acme/web/app",
            "12345",
            "payments",
            "a.b/c-d_e",
            "acme/App",
            "contoso/My Project/app",
            "...",
            ".a/..b",
            "a+b/&=~",
            &deep,
            &"x".repeat(200),
        ] {
            assert_eq!(text.parse::<ProjectId>().unwrap().as_str(), text);
            assert_eq!(ProjectId::recorded(text).unwrap().as_str(), text);
        }
        let deeper = ["g"; 21].join("/");
        for text in [
            "",
            ".",
            "..",
            "/",
            "a/",
            "/a",
            "a//b",
            "a/./b",
            "../a",
            " ",
            "a /b",
            "a/ b",
            "a\0b",
            "a\tb",
            "\u{e4}/b",
            &deeper,
            &"x".repeat(201),
        ] {
            assert!(text.parse::<ProjectId>().is_err(), "{text:?}");
            assert!(ProjectId::recorded(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_percent_sign_is_refused_with_the_reason_and_read_where_it_is_stored() {
        for text in ["contoso/My%20Project/app", "a%2Fb", "%", "a/b%"] {
            let refused = text.parse::<ProjectId>().unwrap_err().to_string();
            assert!(refused.contains("without %: a blank as a blank"), "{refused}");
            assert_eq!(ProjectId::recorded(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_remote_url_gives_its_host_and_platform() {
        for (text, host, platform) in [
            ("https://github.com/acme/app.git", "github.com", Platform::Github),
            ("git@GitHub.com:acme/app.git", "github.com", Platform::Github),
            ("ssh://git@gitlab.example.com:2222/acme/app", "gitlab.example.com", Platform::Gitlab),
            ("https://dev.azure.com/acme/web/_git/app", "dev.azure.com", Platform::AzureDevops),
            ("https://notgithub.com/a/b", "notgithub.com", Platform::Other),
            ("git@[fe80::1]:acme/app.git", "[fe80::1]", Platform::Other),
            ("ssh://gitlab.com/acme/app", "gitlab.com", Platform::Gitlab),
            ("org-12345@github.com:acme/app", "github.com", Platform::Github),
            ("git@host:pw@other:x", "host", Platform::Other),
        ] {
            let url: RemoteUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.platform(), url.as_str()), (host, platform, text));
        }
    }

    #[test]
    fn a_remote_url_never_carries_a_password_or_a_user_name_of_the_web() {
        for (text, rule) in [
            ("https://user:pw@github.com/a/b", PASSWORD),
            ("https:///user:pw@github.com/a/b", PASSWORD),
            ("ssh://git:pw@github.com/a/b", PASSWORD),
            ("ssh://git:@github.com/a/b", PASSWORD),
            ("ssh://git%3Apw@github.com/a/b", PASSWORD),
            ("git:secret@host:path", PASSWORD),
            ("git:secret@host:path@other:x", PASSWORD),
            ("https://token@github.com/a/b", USER),
            ("https://@github.com/a/b", USER),
            ("http:///token@github.com/a/b", USER),
            ("HTTPS://ada@dev.azure.com/acme/web/_git/app", USER),
            ("file:///etc/passwd", FORM),
            ("javascript://x", FORM),
            ("javascript:alert(1)", FORM),
            ("data:text/html,x", FORM),
            ("github.com/acme/app", FORM),
            ("github.com:acme/app", FORM),
            ("@github.com:acme/app", FORM),
            ("https://", FORM),
            ("git@host:", FORM),
            ("git@:path", FORM),
            ("git@a@b:path", FORM),
            ("git@[fe80::1]", FORM),
            ("git@[fe80::1%25eth0]:x", FORM),
            ("git@[host:22]:x", FORM),
            ("git@-oProxyCommand=x:y", FORM),
            ("ssh://-oProxyCommand=x/y", FORM),
            ("ssh://git:\\@github.com/a/b", FORM),
            ("ssh://evil.example?@github.com/a", FORM),
            ("ssh://evil.example#@github.com/a", FORM),
            ("-git@host:y", FORM),
            ("ssh://git@%67ithub.com/a", FORM),
            ("", FORM),
        ] {
            assert_eq!(text.parse::<RemoteUrl>(), Err(rule), "{text}");
        }
    }

    #[test]
    fn what_an_earlier_version_stored_still_reads() {
        for text in ["javascript:alert(1)", "git:secret@host:path"] {
            let url = RemoteUrl::recorded(text.to_owned()).unwrap();
            assert_eq!((url.as_str(), url.host(), url.platform()), (text, "", Platform::Other));
        }
        assert_eq!(RemoteUrl::recorded("git@GitHub.com:a/b".to_owned()).unwrap().host(), "github.com");
        assert!(RemoteUrl::recorded("a b".to_owned()).is_none());
    }
}
