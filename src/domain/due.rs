//! Work that is due: credentials and tokens that end soon, credentials that ended and are still read, and what nobody rotated
//! or used for long.

use std::time::Duration;

use super::{ApplicationToken, Timestamp, TokenStatus, days};

/// The limits in time from which something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRules {
    /// A credential is due if it ends within this time.
    pub within: Duration,
    /// A credential is due if its value is older than this.
    pub older_than: Duration,
}

/// The numbers of what is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DueCounts {
    /// Credentials that end soon.
    pub ending: u64,
    /// Credentials that were read after their end.
    pub ended_read: u64,
    /// Credentials that nobody rotated for long.
    pub not_rotated: u64,
    /// Active tokens that end soon.
    pub tokens_ending: u64,
    /// Active tokens that nobody used for long.
    pub tokens_unused: u64,
}

impl DueRules {
    /// The limits of the metrics and the defaults of a list.
    pub const STANDARD: Self = Self { within: days(30), older_than: days(180) };
    /// The horizon for tokens, below their default lifetime of 30 days: a new token is not due.
    pub const TOKENS_WITHIN: Duration = days(7);
    /// The time without a use after which a token is due.
    pub const UNUSED: Duration = days(90);

    /// Returns whether a credential ends soon.
    pub fn is_ending(&self, end: Option<Timestamp>, now: Timestamp) -> bool {
        end.is_some_and(|end| now < end && end <= now.plus(self.within))
    }

    /// Returns whether a credential of that age is due.
    pub fn is_old(&self, rotated_at: Timestamp, now: Timestamp) -> bool {
        rotated_at <= now.minus(self.older_than)
    }

    /// Returns whether a credential ended and was read after its end.
    pub fn is_read_past(end: Timestamp, read_at: Option<Timestamp>, now: Timestamp) -> bool {
        end <= now && read_at.is_some_and(|read_at| read_at > end)
    }

    /// Returns whether an active token ends soon.
    pub fn is_token_ending(&self, token: &ApplicationToken, now: Timestamp) -> bool {
        let horizon = self.within.min(Self::TOKENS_WITHIN);
        token.status(now) == TokenStatus::Active && token.expires_at <= now.plus(horizon)
    }

    /// Returns whether an active token was not used for long.
    pub fn is_token_unused(token: &ApplicationToken, used_at: Option<Timestamp>, now: Timestamp) -> bool {
        let since = used_at.unwrap_or(token.created_at);
        token.status(now) == TokenStatus::Active && since <= now.minus(Self::UNUSED)
    }
}

impl DueCounts {
    /// Returns the number of everything that is due.
    pub const fn all(&self) -> u64 {
        self.ending + self.ended_read + self.not_rotated + self.tokens_ending + self.tokens_unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccessScope, Digest, Role, Roll, TokenId, seconds};

    const NOW: Timestamp = Timestamp::from_millis(1_795_514_400_000);
    const RULES: DueRules = DueRules::STANDARD;

    #[test]
    fn a_credential_is_due_from_the_first_moment_of_its_limit_to_the_last_before_its_end() {
        for (end, is_ending) in [
            (NOW, false),
            (NOW.plus(seconds(1)), true),
            (NOW.plus(days(30)), true),
            (NOW.plus(days(30)).plus(seconds(1)), false),
            (NOW.minus(days(1)), false),
        ] {
            assert_eq!(RULES.is_ending(Some(end), NOW), is_ending, "{end}");
        }
        assert!(!RULES.is_ending(None, NOW));
        assert!(RULES.is_old(NOW.minus(days(180)), NOW));
        assert!(!RULES.is_old(NOW.minus(days(180)).plus(seconds(1)), NOW));
        let end = NOW.minus(days(2));
        for (read, is_due) in [(None, false), (Some(end), false), (Some(end.plus(seconds(1))), true)] {
            assert_eq!(DueRules::is_read_past(end, read, NOW), is_due, "{read:?}");
        }
        assert!(!DueRules::is_read_past(NOW.plus(seconds(1)), Some(NOW.plus(seconds(2))), NOW));
    }

    #[test]
    fn only_an_active_token_is_due() {
        let token = |created_at: Timestamp, expires_at: Timestamp, revoked_at| ApplicationToken {
            id: TokenId::from_bytes([1; 16]),
            digest: Digest([2; 32]),
            name: "ci".parse().unwrap(),
            role: Role::Application,
            scope: AccessScope::default(),
            created_by: "host:root".parse().unwrap(),
            created_at,
            expires_at,
            revoked_at,
            roll: Roll::default(),
            version: 1,
        };
        let old = NOW.minus(days(90));
        for (row, ending, unused) in [
            (token(old, NOW.plus(days(7)), None), true, true),
            (token(old, NOW.plus(days(8)), None), false, true),
            (token(old.plus(seconds(1)), NOW.plus(days(7)), None), true, false),
            (token(old, NOW, None), false, false),
            (token(old, NOW.plus(days(1)), Some(NOW)), false, false),
        ] {
            assert_eq!(RULES.is_token_ending(&row, NOW), ending, "{row:?}");
            assert_eq!(DueRules::is_token_unused(&row, None, NOW), unused, "{row:?}");
            assert!(!DueRules::is_token_unused(&row, Some(NOW.minus(days(89))), NOW));
        }
        let soon = DueRules { within: days(1), ..RULES };
        assert!(!soon.is_token_ending(&token(old, NOW.plus(days(2)), None), NOW));
    }
}
