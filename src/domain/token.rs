//! Application tokens, and the narrowing that tokens and members share.

use super::{Actor, Digest, Name, ProjectId, Provider, Role, Timestamp, TokenId, text_enum::text_enum};

/// To which projects and providers a caller is narrowed; `None` does not narrow, an empty list allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// The only projects it may name.
    pub projects: Option<Vec<ProjectId>>,
    /// The only providers it may read.
    pub providers: Option<Vec<Provider>>,
}

impl Narrowing {
    /// Whether the caller may name this project.
    pub fn admits_project(&self, project: &ProjectId) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(project))
    }

    /// Whether the caller may read this provider, in either of its spellings.
    pub fn admits_provider(&self, provider: Provider) -> bool {
        self.providers
            .as_ref()
            .is_none_or(|providers| providers.iter().any(|one| one.service() == provider.service()))
    }
}

text_enum! {
    /// Whether a token still lets its holder in.
    TokenStatus, "status", "one of active, expired, revoked" {
        /// It does.
        Active = "active",
        /// Its end has come.
        Expired = "expired",
        /// An owner took it back.
        Revoked = "revoked",
    }
}

/// An application token's row; the token itself is nowhere.
#[derive(Debug, Clone)]
pub struct ApplicationToken {
    /// Its name in the log and in every other call.
    pub id: TokenId,
    /// SHA-256 of the token, the row's key.
    pub digest: Digest,
    /// A label.
    pub name: Name,
    /// What its holder may do.
    pub role: Role,
    /// To what it is narrowed.
    pub narrowing: Narrowing,
    /// Who made it.
    pub created_by: Actor,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When an owner took it back.
    pub revoked_at: Option<Timestamp>,
    /// Raised by each write.
    pub version: u64,
}

impl ApplicationToken {
    /// Its status at that moment.
    pub fn status(&self, now: Timestamp) -> TokenStatus {
        if self.revoked_at.is_some() {
            TokenStatus::Revoked
        } else if now >= self.expires_at {
            TokenStatus::Expired
        } else {
            TokenStatus::Active
        }
    }
}
