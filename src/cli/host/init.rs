//! `sealroom init`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    file_args::LockArgs,
    host_actor::host_actor,
    kdf_args::KdfArgs,
    passphrase::{PassphraseArgs, warn_if_short},
};
use crate::{
    auth::password,
    cli::{
        error::CliError,
        secrets::{self, shown},
        terminal::{once::Discard, output::Output, prompt::Asking},
    },
    clock::{Clock, implausible},
    crypto::kdf::KdfParams,
    disk::{FileError, NewFile},
    domain::{Email, Invalid, Secret},
    vault::{Created, InitPlan, Vault},
};

/// `init`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The vault file to create.
    #[arg(long, env = "SEALROOM_DATA", default_value = "sealroom.redb", value_name = "FILE")]
    data: PathBuf,
    /// The first owner's e-mail address.
    #[arg(long, value_name = "EMAIL")]
    owner_email: String,
    /// Read the owner's password from this file (mode 0600) instead of generating one.
    #[arg(long, value_name = "FILE")]
    owner_password_file: Option<PathBuf>,
    /// Write the recovery key to this new file (mode 0600) instead of stdout.
    #[arg(long, value_name = "FILE")]
    recovery_key_file: Option<PathBuf>,
    #[command(flatten)]
    cost: KdfArgs,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: Args, output: &Output) -> Result<(), CliError> {
    let invalid = |error: Invalid| CliError::usage(error.to_string(), "see `sealroom init --help`");
    let owner: Email = args.owner_email.parse().map_err(invalid)?;
    let kdf = args.cost.params()?;
    let now = Clock::system().now();
    if let Some(why) = implausible(now) {
        let hint = "set the clock: each record of the vault has its time";
        return Err(CliError::failed(format!("the clock says {now}, {why}"), hint));
    }
    // Before any prompt: a user must not type a passphrase for a file that cannot be created.
    let file = NewFile::begin_with(&args.data, args.lock.locking())?;
    // Best effort: root that makes a vault for a service can give the file away itself.
    drop(file.give_to_owner_of_folder());
    let recovery = args.recovery_key_file.as_deref();
    // Only a check, which removes the file again: a kill during the prompts leaves no file behind.
    recovery.map(secrets::NewFile::begin).transpose().map(drop)?;
    let passphrase = args.passphrase.read(Asking::Twice, output)?;
    warn_if_short(&passphrase, output);
    let (password, generated) = owner_password(args.owner_password_file.as_deref(), output)?;
    password::check_new(&password, &owner).map_err(invalid)?;
    let shown_password = generated.then(|| shown(&password));
    let plan = InitPlan {
        owner,
        password,
        passphrase,
        kdf,
        password_kdf: KdfParams::PASSWORD,
        actor: host_actor(),
        now,
    };
    let created = Vault::create(file.medium(), 1 << 20, &plan).map_err(|error| CliError::init(&error))?;
    // Show the keys before the vault exists: a vault whose keys are lost can never be opened again.
    if let Some(path) = recovery {
        secrets::NewFile::begin(path)?.write(created.recovery_key.expose())?;
    }
    let made = report(&args, &plan.owner, shown_password, &created, output)
        .and_then(|()| file.publish().map(drop).map_err(|error| unpublished(&args.data, error)));
    if made.is_err()
        && !is_there(&args.data)
        && let Some(path) = recovery
    {
        // The recovery key opens nothing.
        drop(fs::remove_file(path));
    }
    made
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Reports an unpublished vault: the keys are shown by now, and their worth depends on the stage of the failure.
fn unpublished(data: &Path, error: FileError) -> CliError {
    let error = CliError::from(error);
    let worth = if is_there(data) {
        "keep the keys shown above until you know which vault that file is"
    } else {
        "the keys shown above open nothing"
    };
    CliError { hint: format!("{}; {worth}", error.hint), ..error }
}

pub(super) fn owner_password(path: Option<&Path>, output: &Output) -> Result<(Secret, bool), CliError> {
    if let Some(path) = path {
        let password = secrets::from_file(path, output)?;
        secrets::check_new(&password, "password", Some(path))?;
        return Ok((password, false));
    }
    let generated = password::generate().map_err(|error| CliError::failed(error.to_string(), "try again"))?;
    Ok((generated, true))
}

fn report(
    args: &Args,
    owner: &Email,
    password: Option<String>,
    created: &Created,
    output: &Output,
) -> Result<(), CliError> {
    let data = args.data.display().to_string();
    let recovery = shown(&created.recovery_key);
    let mut lines = vec![format!("created {data}\n"), format!("owner         {owner}")];
    lines.extend(password.as_ref().map(|password| format!("password      {password}")));
    lines.push(match &args.recovery_key_file {
        Some(path) => format!("recovery key  in {}", path.display()),
        None => format!("recovery key  {recovery}"),
    });
    lines.push(format!("audit key     {}\n", created.audit_key));
    lines.push(
        "These are shown only once. Keep the recovery key and the audit key away from this host.".to_owned(),
    );
    lines.push(format!("Start it with: sealroom serve --data {data}"));
    lines.push(format!("Then log in:   sealroom login --email {owner}"));
    let mut value =
        json!({ "data": data, "owner_email": owner.to_string(), "audit_key": created.audit_key.to_string() });
    if let Some(password) = password {
        value["owner_password"] = json!(password);
    }
    if args.recovery_key_file.is_none() {
        value["recovery_key"] = json!(recovery);
    }
    let (what, discard) = match (&args.recovery_key_file, value.get("owner_password")) {
        (None, _) => ("the recovery key", Discard::Refused),
        (Some(_), Some(_)) => ("the owner's password", Discard::Refused),
        // `audit key` prints it again.
        (Some(_), None) => ("the audit key", Discard::Allowed),
    };
    output.write_once(what, &lines.join("\n"), &value, discard).map_err(|lost| {
        CliError::failed(
            lost.to_string(),
            "no vault was created; run it again with a reader on standard output",
        )
    })
}
