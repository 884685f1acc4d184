//! The environment: the known variables, and unknown ones that resemble ours.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::Command;

use super::{config, error::CliError, source::Given, terminal::output::Output};

/// Every variable that a command reads; a build without the server or the client also knows those of the other.
pub(super) const VARIABLES: &[&str] = &[
    "SEALROOM_ANSWERS_BYTES_MAX",
    "SEALROOM_ANSWER_BYTES_MAX",
    "SEALROOM_ARCHIVE_FOLDER",
    "SEALROOM_ARCHIVE_KEEP_DAYS",
    "SEALROOM_BACKUP_EVERY_SECS",
    "SEALROOM_BACKUP_FOLDER",
    "SEALROOM_BACKUP_KEEP",
    "SEALROOM_BEHIND_TLS_PROXY",
    "SEALROOM_BODY_BYTES_MAX",
    "SEALROOM_CACHE_BYTES",
    "SEALROOM_CA_FILE",
    "SEALROOM_CHECKPOINT_EVERY_SECS",
    "SEALROOM_CHECKPOINT_FOLDER",
    "SEALROOM_CONFIG",
    "SEALROOM_CONNECTIONS_MAX",
    "SEALROOM_CONNECT_WAIT_SECS",
    "SEALROOM_DATA",
    "SEALROOM_DISCLOSURES_PER_MINUTE_MAX",
    "SEALROOM_DISK_LOW_BYTES",
    "SEALROOM_EMAIL",
    "SEALROOM_HEADER_BYTES_MAX",
    "SEALROOM_HEADER_TIMEOUT_SECS",
    "SEALROOM_HOST_NAMES",
    "SEALROOM_INSECURE_HTTP",
    "SEALROOM_LISTEN",
    "SEALROOM_LOG_LEVEL",
    "SEALROOM_MEMBERS_MAY_CREATE",
    "SEALROOM_MEMBERS_MAY_SHADOW",
    "SEALROOM_NEW_MEMBERS_SEE",
    "SEALROOM_NO_PROXY",
    "SEALROOM_OTP_FILE",
    "SEALROOM_OWNERS_NEED_OTP",
    "SEALROOM_PASSPHRASE_FILE",
    "SEALROOM_PASSWORDS_WAITING_MAX",
    "SEALROOM_PASSWORD_FILE",
    "SEALROOM_PROFILE",
    "SEALROOM_QUEUE_MAX",
    "SEALROOM_REQUEST_TIMEOUT_SECS",
    "SEALROOM_SANDBOX",
    "SEALROOM_STALL_TIMEOUT_SECS",
    "SEALROOM_STRICT_ENV",
    "SEALROOM_TLS_CERT",
    "SEALROOM_TLS_KEY",
    "SEALROOM_TRUSTED_PROXIES",
    "SEALROOM_WITHOUT_FILE_LOCK",
    "SEALROOM_WITNESS_FOR",
    "SEALROOM_WORKER_THREADS",
    "SEALROOM_WRITES_PER_MINUTE_MAX",
    "SFP_APPLICATION_TOKEN",
    "SFP_APPLICATION_TOKEN_FILE",
    "SFP_SERVER_TOKEN",
    "SFP_SERVER_TOKEN_FILE",
    "SFP_SERVER_URL",
];
/// The variable that a build reads: a release runs the program that it has built.
const BUILD: &str = "SEALROOM_COMMIT";
/// Prefix of our own variables; other programs use `SFP_` as well.
const PREFIX: &str = "SEALROOM_";
/// Maximum number of variables named: an environment with more belongs to another program of that name.
const NAMED_MAX: usize = 5;
/// Similarity below which one name is not suggested for another.
const NEAR: f64 = 0.75;

/// Warns about ignored variables; in strict mode, ends the command instead.
///
/// # Errors
/// There is an unknown variable, and a flag, the environment or the config file asks for strictness.
pub(super) fn check(
    grammar: &Command,
    strict: Option<bool>,
    file: Option<&Path>,
    output: &Output,
) -> Result<(), CliError> {
    let unknown = unknown(grammar, env::vars_os());
    let Some(first) = unknown.first() else { return Ok(()) };
    // The command that needs the file reports that it cannot be read.
    let of_file = || config::read(file, &Given::default()).ok().and_then(|file| file.strict_env);
    if strict.or_else(of_file).unwrap_or(false) {
        let (message, hint) = complaint(grammar, first);
        return Err(CliError::usage(message, hint));
    }
    for name in unknown.iter().take(NAMED_MAX) {
        let (message, hint) = complaint(grammar, name);
        output.warning(&format!("ignored: {message}; {hint}"));
    }
    if let Some(more) = unknown.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        output.warning(&format!("{more} more variables that begin with {PREFIX} are ignored"));
    }
    Ok(())
}

/// Returns the variables that have our prefix and are unknown, in order.
fn unknown(grammar: &Command, set: impl Iterator<Item = (OsString, OsString)>) -> BTreeSet<OsString> {
    let known = known(grammar);
    let is_unknown = |name: &OsStr, value: &OsStr| {
        let text = name.to_string_lossy();
        let is_ours = known.contains(&*text) || text == BUILD;
        text.starts_with(PREFIX) && !value.is_empty() && !is_ours && !is_link(&text, value)
    };
    set.filter(|(name, value)| is_unknown(name, value)).map(|(name, _)| name).collect()
}

/// Returns whether the variable is a link: Kubernetes and Docker describe a service called `sealroom` by such names.
fn is_link(name: &str, value: &OsStr) -> bool {
    let rest = &name[PREFIX.len()..];
    let is_address = || value.to_str().is_some_and(|value| value.contains("://"));
    rest.starts_with("SERVICE_HOST")
        || rest.starts_with("SERVICE_PORT")
        || rest == "PORT" && is_address()
        || rest
            .strip_prefix("PORT_")
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn known(grammar: &Command) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    of_command(grammar, &mut known);
    known
}

fn of_command(command: &Command, into: &mut BTreeSet<String>) {
    into.extend(
        command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned())),
    );
    command.get_subcommands().for_each(|sub| of_command(sub, into));
}

/// Returns message and hint about an unknown variable: its name and never its value, which may be a secret.
fn complaint(grammar: &Command, name: &OsStr) -> (String, String) {
    let name = name.to_string_lossy().replace(char::is_control, "?");
    let (known, file) = (known(grammar), format!("{name}_FILE"));
    if known.contains(&file) {
        let message = format!("{name} is not a setting: this secret cannot come from a variable");
        return (message, format!("put it into a file of mode 0600, name that in {file}, and unset {name}"));
    }
    let message = format!("{name} is not a setting");
    match nearest(&name, &known) {
        Some(nearest) => (message, format!("did you mean {nearest}?")),
        None => (message, "see config.example.toml, or unset it".to_owned()),
    }
}

fn nearest<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    let own = |name: &str| name.strip_prefix(PREFIX).or(name.strip_prefix("SFP_")).unwrap_or(name).to_owned();
    let wanted = own(name);
    let nearness = |known: &str| strsim::jaro_winkler(&wanted, &own(known));
    let best = known.iter().max_by(|a, b| nearness(a).total_cmp(&nearness(b)))?;
    (nearness(best) >= NEAR).then_some(best)
}

#[cfg(test)]
mod tests;
