//! The work-list of rotations (ours): bounded lists, with the counts of everything.

use serde::Serialize;

use super::{LastAccess, Text, texts};
use crate::domain::{
    Actor, ApplicationToken, AuthType, DueCounts, DueRules, Integration, IntegrationId, Name, Peer,
    ProjectId, Provider, Role, Scope, Timestamp, TokenId,
};

/// A credential that is due.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DueCredential<'a> {
    id: Text<IntegrationId>,
    provider: Text<Provider>,
    auth_type: Text<AuthType>,
    name: Option<Text<&'a Name>>,
    is_global: bool,
    projects: Vec<Text<&'a ProjectId>>,
    expires_at: Option<Text<Timestamp>>,
    rotated_at: Text<Timestamp>,
    last_accessed_at: Option<Text<Timestamp>>,
    last_accessed_by: Option<Text<Actor>>,
}

impl<'a> DueCredential<'a> {
    /// Creates the entry from an integration and its last disclosure.
    pub fn new(one: &'a Integration, last_access: Option<LastAccess>) -> Self {
        let (at, by) = last_access.map(|access| (access.at, access.by)).unzip();
        Self {
            id: Text(one.id),
            provider: Text(one.provider),
            auth_type: Text(one.auth_type),
            name: one.name.as_ref().map(Text),
            is_global: one.scope == Scope::Global,
            projects: texts(one.scope.projects()),
            expires_at: one.expires_at().map(Text),
            rotated_at: Text(one.unchanged_since()),
            last_accessed_at: at.map(Text),
            last_accessed_by: by.map(Text),
        }
    }
}

/// A token that is due.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DueTokenBody<'a> {
    id: Text<TokenId>,
    name: Text<&'a Name>,
    role: Text<Role>,
    created_by: Text<&'a Actor>,
    created_at: Text<Timestamp>,
    expires_at: Text<Timestamp>,
    last_used_at: Option<Text<Timestamp>>,
    last_used_from: Option<Text<Peer>>,
    rolled_to: Option<Text<TokenId>>,
}

impl<'a> DueTokenBody<'a> {
    /// Creates the entry from a row, the time of its last use and the address of it.
    pub fn new(row: &'a ApplicationToken, used_at: Option<Timestamp>, used_from: Option<Peer>) -> Self {
        Self {
            id: Text(row.id),
            name: Text(&row.name),
            role: Text(row.role),
            created_by: Text(&row.created_by),
            created_at: Text(row.created_at),
            expires_at: Text(row.expires_at),
            last_used_at: used_at.map(Text),
            last_used_from: used_from.map(Text),
            rolled_to: row.roll.successor.map(Text),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    ending: u64,
    ended_read: u64,
    not_rotated: u64,
    tokens_ending: u64,
    tokens_unused: u64,
}

/// The answer to `GET /due`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DueBody<'a> {
    time: Text<Timestamp>,
    within_days: u64,
    older_than_days: u64,
    tokens_within_days: u64,
    unused_days: u64,
    counts: Counts,
    /// Credentials that end soon, the nearest end first.
    pub ending: Vec<DueCredential<'a>>,
    /// Credentials that were read after their end, the earliest end first.
    pub ended_read: Vec<DueCredential<'a>>,
    /// Credentials that nobody rotated for long, the oldest first.
    pub not_rotated: Vec<DueCredential<'a>>,
    /// Active tokens that end soon, the nearest end first.
    pub tokens_ending: Vec<DueTokenBody<'a>>,
    /// Active tokens that nobody used for long, the longest first.
    pub tokens_unused: Vec<DueTokenBody<'a>>,
}

impl DueBody<'_> {
    /// Creates the answer of one moment, its lists still empty.
    pub fn new(rules: &DueRules, counts: &DueCounts, now: Timestamp) -> Self {
        let DueCounts { ending, ended_read, not_rotated, tokens_ending, tokens_unused } = *counts;
        let days = |time: std::time::Duration| time.as_secs() / 86_400;
        Self {
            time: Text(now),
            within_days: days(rules.within),
            older_than_days: days(rules.older_than),
            tokens_within_days: days(rules.within.min(DueRules::TOKENS_WITHIN)),
            unused_days: days(DueRules::UNUSED),
            counts: Counts { ending, ended_read, not_rotated, tokens_ending, tokens_unused },
            ending: Vec::new(),
            ended_read: Vec::new(),
            not_rotated: Vec::new(),
            tokens_ending: Vec::new(),
            tokens_unused: Vec::new(),
        }
    }
}
