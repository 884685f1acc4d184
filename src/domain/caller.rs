//! Callers: roles, actors, and the caller that authentication found.

use std::{fmt, str::FromStr};

use super::{AccessScope, Email, Invalid, SessionId, TokenId, UserId, text_enum::text_enum};

text_enum! {
    /// The role of a caller; `auth/policy.rs` has the table of what each may do.
    Role, "role", "one of owner, member, application, auditor, operator" {
        /// A user who may do everything.
        Owner = "owner",
        /// A user who stores and reads credentials.
        Member = "member",
        /// A machine that reads credentials.
        Application = "application",
        /// A machine that reads the audit log.
        Auditor = "auditor",
        /// A machine that makes backups and reads metrics.
        Operator = "operator",
    }
}

impl Role {
    /// Returns whether people have this role; the others belong to application tokens.
    pub const fn is_user_role(self) -> bool {
        match self {
            Self::Owner | Self::Member => true,
            Self::Application | Self::Auditor | Self::Operator => false,
        }
    }
}

/// The SHA-256 of a bearer token: what the file keeps instead of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// A well-formed bearer token, as far as it leads to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// `sfp_app_…`
    Application(Digest),
    /// `sfp_usr_…`
    Access(SessionId, Digest),
}

/// An actor, as the audit log names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// `user:<email>`
    User(Email),
    /// `app:<token_id>`
    App(TokenId),
    /// `host:<os user>`: an operating-system user of the host.
    Host(String),
}

impl Actor {
    /// The actor for an operating-system user; what is no plain name becomes `_`.
    pub fn host(user: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let name: String = user.chars().take(32).map(plain).collect();
        Self::Host(if name.is_empty() { "unknown".to_owned() } else { name })
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(email) => write!(f, "user:{email}"),
            Self::App(id) => write!(f, "app:{id}"),
            Self::Host(user) => write!(f, "host:{user}"),
        }
    }
}

impl FromStr for Actor {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = Invalid::new("actor", "user:<email>, app:<token id> or host:<os user>");
        match text.split_once(':').ok_or(invalid)? {
            ("user", email) => email.parse().map(Self::User).map_err(|_| invalid),
            ("app", id) => id.parse().map(Self::App).map_err(|_| invalid),
            ("host", user) if Self::host(user) == Self::Host(user.to_owned()) => Ok(Self::host(user)),
            _ => Err(invalid),
        }
    }
}

/// The row that vouches for a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A user, through a session.
    User {
        /// The user's row.
        id: UserId,
        /// Its key.
        email: Email,
        /// The session that spoke.
        session: SessionId,
    },
    /// An application token.
    Token(TokenId),
}

/// A caller that authentication has let in. Valid for one state of the rows: on another one `bearer` is authenticated again.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The row that vouches for it.
    pub identity: Identity,
    /// Its role.
    pub role: Role,
    /// The projects, providers and integrations that it may reach.
    pub scope: AccessScope,
    /// The token it came with.
    pub bearer: Bearer,
    /// The end of that token; `None` for sessions.
    pub token_expires_at: Option<super::Timestamp>,
    /// True for a user that has a second factor.
    pub has_factor: bool,
}

impl Caller {
    /// The name that the audit log has for it.
    pub fn actor(&self) -> Actor {
        match &self.identity {
            Identity::User { email, .. } => Actor::User(email.clone()),
            Identity::Token(id) => Actor::App(*id),
        }
    }

    /// The user's e-mail, where it is one.
    pub const fn email(&self) -> Option<&Email> {
        match &self.identity {
            Identity::User { email, .. } => Some(email),
            Identity::Token(_) => None,
        }
    }

    /// The user's id, where it is one.
    pub const fn user(&self) -> Option<UserId> {
        match &self.identity {
            Identity::User { id, .. } => Some(*id),
            Identity::Token(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_reads_back_as_it_was_written() {
        for text in ["user:ada@example.com", "app:0192f0c1-7b3c-7def-8000-0123456789ab", "host:root"] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        for text in ["", "root", "user:", "app:x", "host:", "host:a b", "who:me"] {
            assert!(text.parse::<Actor>().is_err(), "{text}");
        }
        assert_eq!(Actor::host("a\nb").to_string(), "host:a_b");
    }
}
