//! Application tokens.

use super::{AccessScope, Actor, Digest, Name, Role, Timestamp, TokenId, text_enum::text_enum};

text_enum! {
    /// The state of a token.
    TokenStatus, "status", "one of active, expired, revoked" {
        /// It does.
        Active = "active",
        /// Its end has come.
        Expired = "expired",
        /// An owner took it back.
        Revoked = "revoked",
    }
}

/// A reference to an application token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRef {
    /// Its id.
    Id(TokenId),
    /// The digest of its text.
    Digest(Digest),
}

/// The place of a token in a roll: the one before it, the one after it, and the readers' move between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roll {
    /// The token that it succeeds.
    pub predecessor: Option<TokenId>,
    /// The token that succeeds it.
    pub successor: Option<TokenId>,
    /// The time of a successor's first audited use.
    pub first_used_at: Option<Timestamp>,
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
    /// The role of its holder.
    pub role: Role,
    /// The projects, providers and integrations that its holder may reach.
    pub scope: AccessScope,
    /// The actor who made it.
    pub created_by: Actor,
    /// The time at which it was made.
    pub created_at: Timestamp,
    /// The time at which it ends.
    pub expires_at: Timestamp,
    /// The time of its revocation.
    pub revoked_at: Option<Timestamp>,
    /// Its place in a roll.
    pub roll: Roll,
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

    /// Returns whether the next audited use is the first of a successor.
    pub const fn awaits_first_use(&self) -> bool {
        self.roll.predecessor.is_some() && self.roll.first_used_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::seconds;

    /// Contract §6: every expiry follows the clock, and the end itself is not part of the life.
    #[test]
    fn a_token_has_ended_at_its_end() {
        let end = Timestamp::from_millis(1_795_514_400_000);
        let token = ApplicationToken {
            id: TokenId::from_bytes([1; 16]),
            digest: Digest([2; 32]),
            name: "ci".parse().unwrap(),
            role: Role::Application,
            scope: AccessScope::default(),
            created_by: Actor::host("test"),
            created_at: end.minus(seconds(60)),
            expires_at: end,
            revoked_at: None,
            roll: Roll::default(),
            version: 1,
        };
        assert_eq!(token.status(end.minus(std::time::Duration::from_millis(1))), TokenStatus::Active);
        assert_eq!(token.status(end), TokenStatus::Expired);
        let revoked = ApplicationToken { revoked_at: Some(end), ..token };
        assert_eq!(revoked.status(end.minus(seconds(60))), TokenStatus::Revoked);
    }
}
