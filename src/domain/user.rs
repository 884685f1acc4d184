//! Users and their sessions.

use std::time::Duration;

use super::{
    AccessScope, Digest, Email, Name, ProjectId, Role, SecondFactor, SessionId, Timestamp, UserId, minutes,
    text_enum::text_enum,
};

/// The most that a token's issue time may lie ahead of the clock: clocks differ a little from run to run.
const AHEAD_MAX: Duration = minutes(5);

/// A password's argon2id hash with its parameters (RFC 9106); no `Debug`, so that it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// The salt.
    pub salt: [u8; 16],
    /// The hash.
    pub hash: [u8; 32],
}

/// A user's row.
#[derive(Clone)]
pub struct User {
    /// Names the user for good.
    pub id: UserId,
    /// The row's key.
    pub email: Email,
    /// First name.
    pub first_name: Option<Name>,
    /// Last name.
    pub last_name: Option<Name>,
    /// Owner or member.
    pub role: Role,
    /// To what a member is narrowed. An owner keeps it for the day of a demotion, which then widens nothing; see
    /// [`User::effective_scope`].
    pub scope: AccessScope,
    /// True for a user that is kept out.
    pub disabled: bool,
    /// The password.
    pub password: PasswordHash,
    /// The second factor, if one is set.
    pub factor: Option<SecondFactor>,
    /// Raised by each change of password, role, second factor or `disabled`: a session of an older epoch has ended.
    pub epoch: u64,
    /// The time at which the user was made.
    pub created_at: Timestamp,
    /// The time of the user's last login.
    pub last_login_at: Option<Timestamp>,
    /// Raised by each write.
    pub version: u64,
}

impl User {
    /// Returns the scope that holds: an owner has all projects.
    pub fn effective_scope(&self) -> AccessScope {
        if self.role == Role::Owner { AccessScope::default() } else { self.scope.clone() }
    }

    /// Returns the only projects that the user may name; `None` for all.
    pub fn projects(&self) -> Option<&[ProjectId]> {
        self.scope.projects.as_deref().filter(|_| self.role != Role::Owner)
    }
}

text_enum! {
    /// The kind of a session's token.
    SessionKind, "session kind", "one of access, refresh" {
        /// Lets its holder in.
        Access = "access",
        /// Gives a new pair, once.
        Refresh = "refresh",
    }
}

text_enum! {
    /// The projects that a new member sees if its creator names none.
    NewMembersSee, "new_members_see", "all or none" {
        /// Every project, registered now or later.
        All = "all",
        /// No project, until an owner names one.
        None = "none",
    }
}

impl NewMembersSee {
    /// Returns a new member's only projects.
    pub const fn projects(self) -> Option<Vec<ProjectId>> {
        match self {
            Self::All => None,
            Self::None => Some(Vec::new()),
        }
    }
}

/// A session row's key: session, then the token's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// The login it belongs to.
    pub session: SessionId,
    /// SHA-256 of the token.
    pub digest: Digest,
}

/// One token of a session.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// The row's key.
    pub key: SessionKey,
    /// Access or refresh.
    pub kind: SessionKind,
    /// Whose session: the id, so that a later user of the same e-mail does not inherit it.
    pub user: UserId,
    /// The user's row.
    pub email: Email,
    /// The user's epoch at the login.
    pub epoch: u64,
    /// The time at which the token was made.
    pub issued_at: Timestamp,
    /// The time at which it ends.
    pub expires_at: Timestamp,
    /// The time of a refresh token's first use.
    pub used_at: Option<Timestamp>,
    /// Raised by each write.
    pub version: u64,
}

impl SessionRow {
    /// Returns whether the token is past its end, or was made by a clock that was ahead and has been set right since:
    /// it would live until that clock's day.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at || self.issued_at.since(now) > AHEAD_MAX
    }
}
