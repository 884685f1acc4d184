//! L4. The use cases: policy, decision and audit meet only here.
//!
//! Every method takes the caller and a [`Context`] with the time; none reads a clock. A method decides in the commit
//! thread, on the newest state. It authenticates the caller again, asks the policy again, and only then reads rows, so
//! that a revocation also applies to requests in flight.

mod access;
mod archive;
mod audited;
mod backup;
mod begun;
mod budgets;
mod canary;
mod create;
mod credentials;
mod doctor;
mod due;
mod error;
mod export;
mod exposure;
mod exposures;
mod gauges;
mod github_app;
mod given_pairs;
mod host;
mod integrations;
mod leave;
mod log;
mod log_check;
mod minted;
mod mints;
mod narrowing;
mod not_minted;
mod offline;
mod password_queue;
mod projects;
mod recover;
mod refresh;
mod refusal_counts;
mod refusals;
mod repository;
mod restore;
mod revisions;
mod roll;
mod rollback;
mod second_factor;
mod sessions;
mod shadow;
mod slot_changes;
mod slot_error;
mod slots;
mod state;
#[cfg(test)]
mod tests;
mod tokens;
mod under_way;
mod unlock;
mod users;
mod witness;
mod witness_state;
mod work;

pub use crate::audit::exposure::Question as ExposureQuestion;
pub use crate::storage::{
    Copied, CopyError, InFlightGuard as Disclosure, Receipt, Step, StoredRecord, Supervisor,
};
pub use access::Admitted;
pub use backup::Backup;
pub use budgets::{AnswerBytes, CallerLimits, ExportShare};
pub use canary::CanaryRead;
pub use create::{Created, InitError, InitPlan};
pub use credentials::{CredentialQuery, Disclosed};
pub use due::{Due, DueQuery, DueToken};
pub use error::{Error, InternalError, UnlockError};
pub use export::{ExportTurn, Proof};
pub use gauges::{Gauges, OpenGauges};
pub use integrations::Listed;
pub use leave::{Left, TheirTokens};
pub use log::EventQuery;
pub use mints::MintReading;
pub use not_minted::{MissingRepository, NotMinted};
pub use offline::{Closed, Offline, OfflineError, Rekeyed};
pub use recover::RecoverError;
pub use refusal_counts::Rejected;
pub use repository::RepositoryToken;
pub use restore::{RestorePlan, Restored};
pub use revisions::DisclosedRevisions;
pub use roll::Rolled;
pub use rollback::Rollback;
pub use second_factor::BegunFactor;
pub use sessions::LoggedIn;
pub use slot_changes::{NewSecret, SlotChange, SlotInfo, check_passphrase};
pub use slot_error::SlotError;
pub use state::{SessionLife, Settings, Vault};
pub use witness_state::{NotWitnessed, Witness, WitnessFileError};
pub use work::Context;
