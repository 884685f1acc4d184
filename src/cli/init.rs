//! `sealroom init`.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    error::CliError,
    output::Output,
    passphrase::PassphraseArgs,
    prompt::Asking,
    secrets::{self, shown},
    serve::host_actor,
};
use crate::{
    auth::password,
    clock::Clock,
    crypto::kdf::KdfParams,
    domain::{Email, Invalid, Secret},
    storage::file::{FileLock, NewFile},
    vault::{Created, InitPlan, Vault},
};

/// A passphrase of fewer bytes than a password must have.
const SHORT: usize = 12;

/// `init`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The vault file to make.
    #[arg(long, env = "SEALROOM_DATA", default_value = "sealroom.redb", value_name = "FILE")]
    data: PathBuf,
    /// The first owner's e-mail address.
    #[arg(long, value_name = "EMAIL")]
    owner_email: String,
    /// Read the owner's password from this file (mode 0600); without it one is generated.
    #[arg(long, value_name = "FILE")]
    owner_password_file: Option<PathBuf>,
    /// Write the recovery key to this new file (mode 0600) and not on stdout.
    #[arg(long, value_name = "FILE")]
    recovery_key_file: Option<PathBuf>,
    /// Memory of the passphrase's key derivation, in KiB.
    #[arg(long, default_value_t = KdfParams::STANDARD.memory_kib(), value_name = "KIB")]
    kdf_memory: u32,
    /// Passes of the passphrase's key derivation.
    #[arg(long, default_value_t = KdfParams::STANDARD.passes(), value_name = "N")]
    kdf_passes: u32,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: Args, output: &Output) -> Result<(), CliError> {
    let invalid = |error: Invalid| CliError::usage(error.to_string(), "see `sealroom init --help`");
    let owner: Email = args.owner_email.parse().map_err(invalid)?;
    let kdf = KdfParams::new(args.kdf_memory, args.kdf_passes, KdfParams::STANDARD.lanes())
        .map_err(|error| CliError::usage(error.to_string(), "leave --kdf-memory and --kdf-passes away"))?;
    // Before anything is asked: what cannot be made must not cost anybody a passphrase.
    let lock = FileLock::take(&args.data)?;
    let file = NewFile::begin(&args.data, &lock)?;
    let passphrase = args.passphrase.read(Asking::Twice, output)?;
    if passphrase.expose().len() < SHORT {
        output.warning("the passphrase is short: whoever has the file can try out all of its length");
    }
    let (password, generated) = owner_password(args.owner_password_file.as_deref(), output)?;
    password::check_rule(&password).map_err(invalid)?;
    let shown_password = generated.then(|| shown(&password));
    let plan = InitPlan {
        owner,
        password,
        passphrase,
        kdf,
        password_kdf: KdfParams::PASSWORD,
        actor: host_actor(),
        now: Clock::system().now(),
    };
    let created = Vault::create(file.medium(), 1 << 20, &plan).map_err(|error| CliError::init(&error))?;
    if let Some(path) = &args.recovery_key_file {
        write_new(path, &created.recovery_key)?;
    }
    file.publish()?;
    report(&args, &plan.owner, shown_password, &created, output)
}

fn owner_password(path: Option<&Path>, output: &Output) -> Result<(Secret, bool), CliError> {
    if let Some(path) = path {
        let password = secrets::from_file(path, output)?;
        secrets::check_new(&password, "password", Some(path))?;
        return Ok((password, false));
    }
    let generated = password::generate().map_err(|error| CliError::failed(error.to_string(), "try again"))?;
    Ok((generated, true))
}

fn write_new(path: &Path, secret: &Secret) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(secret.expose())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    let hint = "name a file that does not exist yet with --recovery-key-file; no vault was made";
    written.map_err(|error| CliError::failed(format!("{}: {error}", path.display()), hint))
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
    let mut lines = vec![format!("made {data}\n"), format!("owner         {owner}")];
    lines.extend(password.as_ref().map(|password| format!("password      {password}")));
    lines.push(match &args.recovery_key_file {
        Some(path) => format!("recovery key  in {}", path.display()),
        None => format!("recovery key  {recovery}"),
    });
    lines.push(format!("audit key     {}\n", created.audit_key));
    lines.push(
        "These are shown this once. Keep the recovery key and the audit key away from this host.".to_owned(),
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
    output.result(&lines.join("\n"), &value)
}
