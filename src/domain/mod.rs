//! L0. The plain values of the house: what a provider, a project, a caller or an event *is*.
//!
//! Owns the rules for what may exist at all. Knows no I/O, no clock, no async and no serde; `FromStr` and `new`
//! are the only doors in, so whatever holds one of these types needs no check of its own.

mod access_scope;
mod caller;
mod due;
mod email;
mod event;
mod id;
mod integration;
mod json;
mod name;
mod project;
mod provider;
mod second_factor;
mod secret;
mod text_enum;
mod time;
mod token;
pub mod token_text;
mod unseen;
mod user;

pub use access_scope::AccessScope;
pub use caller::{Actor, Bearer, Caller, Digest, Identity, Role};
pub use due::{DueCounts, DueRules};
pub use email::Email;
pub use event::{Action, Detail, DetailKey, DetailValue, Event, Outcome, Peer};
pub use id::{FileId, IntegrationId, RequestId, SessionId, TokenId, UserId};
pub use integration::{Integration, KeptRevision, Revision, Scope};
pub use json::Json;
pub use name::Name;
pub use project::{Platform, Project, ProjectId, RemoteUrl};
pub use provider::{AuthType, FieldRule, Provider, field_rule};
pub use second_factor::{OneTimeCode, SecondFactor};
pub use secret::Secret;
pub use text_enum::Invalid;
pub use time::{Timestamp, days, minutes, seconds};
pub use token::{ApplicationToken, Roll, TokenRef, TokenStatus};
pub use unseen::{UNSEEN, is_unseen};
pub use user::{NewMembersSee, PasswordHash, SessionKey, SessionKind, SessionRow, User};
