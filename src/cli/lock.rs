//! `sealroom unlock` and `sealroom lock`.

use std::path::PathBuf;

use serde_json::json;

use super::{control, error::CliError, output::Output, passphrase::PassphraseArgs, prompt::Asking};

/// `unlock`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct UnlockArgs {
    /// The vault file of the running server.
    #[arg(long, env = "SEALROOM_DATA", default_value = "sealroom.redb", value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// `lock`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct LockArgs {
    /// The vault file of the running server.
    #[arg(long, env = "SEALROOM_DATA", default_value = "sealroom.redb", value_name = "FILE")]
    data: PathBuf,
}

pub(super) fn unlock(args: UnlockArgs, output: &Output) -> Result<(), CliError> {
    let secret = args.passphrase.read(Asking::Once, output)?;
    control::unlock(&args.data, &secret)?;
    output.result("unlocked", &json!({ "locked": false }))
}

pub(super) fn lock(args: LockArgs, output: &Output) -> Result<(), CliError> {
    control::lock(&args.data)?;
    output.result("locked", &json!({ "locked": true }))
}
