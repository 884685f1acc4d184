//! Projects: the repositories to which credentials are scoped.

use std::{fmt, str::FromStr};

use url::Url;

use super::{Invalid, Json, Timestamp, text_enum::text_enum};

/// The longest project identifier, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 200;
/// The longest remote URL, in bytes: what git hosts accept is far shorter.
const REMOTE_URL_BYTES_MAX: usize = 2_000;

/// `org/repo`, `org/project/repo` or a bare number; exact and case-sensitive, visible ASCII alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(String);

impl ProjectId {
    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        &self.0
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
        let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let segments: Vec<&str> = text.split('/').collect();
        let path = matches!(segments.len(), 2 | 3)
            && segments.iter().all(|segment| !matches!(*segment, "" | "." | ".."));
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !(number || path) || !visible || text.len() > IDENTIFIER_BYTES_MAX {
            return Err(Invalid::new(
                "project identifier",
                "org/repo, org/project/repo or a number, in visible ASCII",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

text_enum! {
    /// Where a project is hosted.
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

/// Where a project's repository is: http(s), ssh, or the scp form `git@host:org/repo.git`; never with a password.
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

    /// The host after parsing, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The platform whose public host this is, or whose name leads or ends the host's labels.
    pub fn platform(&self) -> Platform {
        let host = self.host.trim_end_matches('.');
        let under = |domain: &str| {
            host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        };
        let label = |name: &str| host.split('.').any(|label| label == name);
        if under("github.com") || label("github") {
            Platform::Github
        } else if under("gitlab.com") || label("gitlab") {
            Platform::Gitlab
        } else if under("bitbucket.org") || label("bitbucket") {
            Platform::Bitbucket
        } else if under("dev.azure.com") || under("visualstudio.com") {
            Platform::AzureDevops
        } else {
            Platform::Other
        }
    }
}

impl FromStr for RemoteUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = Invalid::new(
            "remoteUrl",
            "an http, https or ssh URL or git@host:path, with no password, and a user name only for ssh",
        );
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || text.len() > REMOTE_URL_BYTES_MAX {
            return Err(invalid);
        }
        let parsed = if text.contains("://") { Url::parse(text) } else { scp_form(text).ok_or(invalid)? };
        let url = parsed.map_err(|_| invalid)?;
        let user_allowed = match url.scheme() {
            "http" | "https" => false,
            "ssh" => true,
            _ => return Err(invalid),
        };
        if url.password().is_some() || (!url.username().is_empty() && !user_allowed) {
            return Err(invalid);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(invalid)?.to_ascii_lowercase();
        Ok(Self { text: text.to_owned(), host })
    }
}

/// `user@host:path` is `ssh://user@host/path`, as git reads it.
fn scp_form(text: &str) -> Option<Result<Url, url::ParseError>> {
    let (host, path) = text.split_once(':')?;
    let plain = !host.is_empty() && !host.contains('/') && !path.is_empty() && !path.starts_with("//");
    plain.then(|| Url::parse(&format!("ssh://{host}/{}", path.trim_start_matches('/'))))
}

/// A registered project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name in every other call.
    pub identifier: ProjectId,
    /// Where its repository is.
    pub remote_url: RemoteUrl,
    /// Where it is hosted.
    pub platform: Platform,
    /// What its owner keeps with it, as given.
    pub configuration: Json,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Raised by each write.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_three_forms() {
        for text in ["acme/app", "acme/web/app", "12345", "a.b/c-d_e", "acme/App"] {
            assert_eq!(text.parse::<ProjectId>().unwrap().as_str(), text);
        }
        let long = format!("a/{}", "b".repeat(200));
        for text in
            ["", "acme", "/", "a/", "/a", "a//b", "a/./b", "../a", "a/b/c/d", "a b/c", "a/b\0", "ä/b", &long]
        {
            assert!(text.parse::<ProjectId>().is_err(), "{text:?}");
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
        ] {
            let url: RemoteUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.platform(), url.as_str()), (host, platform, text));
        }
    }

    #[test]
    fn a_remote_url_never_carries_a_password() {
        for text in [
            "https://user:pw@github.com/a/b",
            "https://token@github.com/a/b",
            "ssh://git:pw@github.com/a/b",
            "file:///etc/passwd",
            "javascript://x",
            "github.com/acme/app",
            "https://",
            "git@host:",
            "",
        ] {
            assert!(text.parse::<RemoteUrl>().is_err(), "{text}");
        }
    }
}
