//! `sealroom unlock` and `sealroom lock`.

use std::{os::unix::net::UnixStream, path::PathBuf, time::Duration};

use serde_json::json;

use super::{control, knock::knock, passphrase::PassphraseArgs};
use crate::{
    cli::{
        config,
        error::CliError,
        paths,
        source::{Given, Source},
        terminal::{output::Output, prompt::Asking},
    },
    config::{FileConfig, default},
};

/// `unlock`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UnlockArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// `lock`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LockArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// The choice of the running server.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServerArgs {
    #[command(flatten)]
    given: Given,
    /// The vault file of the running server [default: sealroom.redb].
    #[arg(long, env = "SEALROOM_DATA", value_name = "FILE")]
    data: Option<PathBuf>,
    /// Configuration file; flags and environment variables override it.
    #[arg(long, env = "SEALROOM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Time to wait for a server that is starting, in seconds [default: 5].
    #[arg(long, env = "SEALROOM_CONNECT_WAIT_SECS", value_name = "SECS")]
    connect_wait_secs: Option<u16>,
}

impl ServerArgs {
    fn file(&self) -> Result<FileConfig, CliError> {
        config::read(self.config.as_deref(), &self.given)
    }

    /// Connects to the server that the flags, the environment and the config file name.
    pub(super) fn socket(&self, output: &Output) -> Result<UnixStream, CliError> {
        self.connect(self.file()?, output)
    }

    fn connect(&self, file: FileConfig, output: &Output) -> Result<UnixStream, CliError> {
        let wait = self.connect_wait_secs.or(file.client.connect_wait_secs);
        let wait = Duration::from_secs(wait.unwrap_or(default::CONNECT_WAIT_SECS).into());
        let from = self.config.as_deref().filter(|_| file.data.is_some());
        let source: Source = self.given.source("data", "data", from);
        let data = self.data.clone().or(file.data).unwrap_or_else(|| default::DATA.into());
        paths::check(&data, &source)?;
        paths::check_folder(&data, &source)?;
        knock(&data, &source, wait, output)
    }
}

pub(super) fn unlock(args: UnlockArgs, output: &Output) -> Result<(), CliError> {
    let mut file = args.server.file()?;
    let mut passphrase = args.passphrase;
    passphrase.fall_back(file.passphrase_file.take());
    // Before the passphrase prompt: a user must not type one for a server that is not there.
    drop(args.server.connect(file.clone(), output)?);
    let secret = passphrase.read(Asking::Once, output)?;
    let already = control::unlock(args.server.connect(file, output)?, &secret)?;
    let text = if already { "already unlocked: the passphrase was not checked" } else { "unlocked" };
    output.result(text, &json!({ "locked": false, "already": already }))
}

pub(super) fn lock(args: LockArgs, output: &Output) -> Result<(), CliError> {
    let already = control::lock(args.server.socket(output)?)?;
    output.result(
        if already { "locked already" } else { "locked" },
        &json!({ "locked": true, "already": already }),
    )
}
