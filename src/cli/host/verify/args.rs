//! The flags of `audit verify`, and the inputs read from them.

use std::path::PathBuf;

use crate::audit::{checkpoint::VerifierKey, receipt::Receipt, witness_policy::Policy};

/// `audit verify`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A vault file, a backup, an archive, or an export in NDJSON; `-` reads standard input.
    #[arg(env = "SEALROOM_DATA", default_value = "sealroom.redb", value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The log's verifier key, as `init` printed it, or a file that holds it.
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// A checkpoint stored elsewhere, or a folder of them.
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint: Option<PathBuf>,
    /// Fail unless enough witnesses cosigned a checkpoint: a file in the form of C2SP tlog-policy; needs --checkpoint.
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    pub(super) policy: Option<PathBuf>,
    /// A text, such as a build log, whose receipts must all be in the log.
    #[arg(long, value_name = "FILE")]
    pub(super) receipts: Option<PathBuf>,
    /// Fail unless a key that you pass and a checkpoint, passed or in the vault file, prove the log.
    #[arg(long)]
    pub(super) strict: bool,
}

/// Inputs besides the log.
pub(super) struct Given {
    pub(super) key: Option<VerifierKey>,
    pub(super) receipts: Option<Vec<Receipt>>,
    pub(super) policy: Option<Policy>,
}
