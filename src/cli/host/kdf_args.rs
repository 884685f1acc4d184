//! The cost of a new slot's key derivation, as `init` and `slot` take it.

use super::memory;
use crate::{
    cli::{error::CliError, terminal::output::Output},
    crypto::kdf::KdfParams,
};

/// The flags.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct KdfArgs {
    /// Memory for deriving the key from the secret, in KiB.
    #[arg(long, default_value_t = KdfParams::STANDARD.memory_kib(), value_name = "KIB")]
    kdf_memory: u32,
    /// Passes for deriving the key from the secret.
    #[arg(long, default_value_t = KdfParams::STANDARD.passes(), value_name = "N")]
    kdf_passes: u32,
    /// Accept a key derivation that makes guessing the secret cheap, as for a test.
    #[arg(long)]
    pub(super) weak_kdf: bool,
}

impl KdfArgs {
    /// Checks the cost, and that this host can pay it.
    pub(super) fn params(self) -> Result<KdfParams, CliError> {
        let Self { kdf_memory, kdf_passes, weak_kdf } = self;
        let params = KdfParams::new(kdf_memory, kdf_passes, KdfParams::STANDARD.lanes())
            .map_err(|error| CliError::usage(error.to_string(), "omit --kdf-memory and --kdf-passes"))?;
        if params.is_weak() && !weak_kdf {
            return Err(CliError::usage(
                format!(
                    "--kdf-memory {kdf_memory} and --kdf-passes {kdf_passes} make each guess at the passphrase cheap"
                ),
                TOO_WEAK,
            ));
        }
        memory::check_new(params)?;
        Ok(params)
    }

    /// Checks the cost as [`KdfArgs::params`], and says what a lower one than the default gives away.
    pub(super) fn params_of_slot(self, output: &Output) -> Result<KdfParams, CliError> {
        let params = self.params()?;
        let work = |params: KdfParams| u64::from(params.memory_kib()) * u64::from(params.passes());
        let cheaper = work(KdfParams::STANDARD) / work(params).max(1);
        if cheaper >= 2 {
            output.warning(&format!(
                "each guess at the secret costs {cheaper} times less than by default for anyone with a copy of the file"
            ));
        }
        Ok(params)
    }
}

/// The remedy for a key derivation below the floor.
pub(super) const TOO_WEAK: &str =
    "omit them; use at least 19456 KiB and 2 passes; or accept it with --weak-kdf";
