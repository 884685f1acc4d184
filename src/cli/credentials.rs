//! `sealroom credentials`.

use std::io::{self, IsTerminal};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{
    error::CliError,
    output::Output,
    remote::{Need, ServerArgs},
    table::visible,
};
use crate::{
    api::Members,
    client::{Credential, CredentialFilter, Credentials},
};

/// `credentials`' flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this service alone.
    #[arg(long)]
    provider: Option<String>,
    /// With this label alone.
    #[arg(long)]
    name: Option<String>,
    /// For this project: its own, else those for all projects.
    #[arg(long, conflicts_with = "all")]
    project: Option<String>,
    /// Whatever the project; without a project this must be said.
    #[arg(long)]
    all: bool,
    /// Print the bare value of this one field, of the one credential that matches.
    #[arg(long, conflicts_with = "format")]
    field: Option<String>,
    /// As JSON, as `export` lines for a shell, or as a .env file.
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Env,
    Dotenv,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    if args.project.is_none() && !args.all {
        return Err(CliError::usage(
            "no project is named",
            "pass --project PROJECT, or --all for what is stored for any project",
        ));
    }
    let remote = args.server.connect(Need::Token, output)?;
    let filter = CredentialFilter { provider: args.provider, project: args.project, name: args.name };
    let read = remote.client.credentials(&filter).await?;
    let text = Zeroizing::new(match (&args.field, args.format) {
        (Some(field), _) => one_field(&read, field)?,
        (None, Some(Format::Json)) => lossless(&read),
        (None, _) if output.is_json() => lossless(&read),
        (None, Some(Format::Env)) => variables(&read, output, |name, value| {
            format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
        })?,
        (None, Some(Format::Dotenv)) => variables(&read, output, dotenv_line)?,
        (None, None) => readable(&read)?,
    });
    warn(&read, output);
    output.bytes(text.as_bytes())
}

/// A line that says what has just happened, and in a pipeline's log the receipt that the audit log can be held against.
fn warn(read: &Credentials, output: Output) {
    if io::stdout().is_terminal() {
        output.warning(
            "a credential is on this screen now, and in its scroll-back; --field with a pipe avoids that",
        );
    }
    if let Some(receipt) = read.receipt.as_ref().filter(|_| !io::stderr().is_terminal()) {
        output.note(&format!("audit-receipt: {receipt}"));
    }
}

/// The server's array as it came, credentials byte for byte.
fn lossless(read: &Credentials) -> String {
    String::from_utf8_lossy(read.body.expose()).into_owned() + "\n"
}

fn one_field(read: &Credentials, field: &str) -> Result<String, CliError> {
    let items = read.items()?;
    let [one] = items.as_slice() else {
        let found: Vec<String> = items
            .iter()
            .map(|one| format!("{}/{} {}", one.provider, one.auth_type, one.integration_id))
            .collect();
        return Err(CliError::failed(
            format!("{} credentials match, and --field prints one: {}", items.len(), found.join(", ")),
            "narrow it with --provider, --name or --project",
        ));
    };
    let fields = fields(one)?;
    let Some((_, value)) = fields.iter().find(|(name, _)| name == field) else {
        let known: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        return Err(CliError::failed(
            format!("the credential has no field '{field}'"),
            format!("it has {}", known.join(", ")),
        ));
    };
    Ok(format!("{}\n", value.as_str()))
}

fn readable(read: &Credentials) -> Result<String, CliError> {
    let mut text = String::new();
    for one in read.items()? {
        let head = format!("{}/{}  {}\n", one.provider, one.auth_type, one.integration_id);
        text.push_str(&head);
        for (name, value) in fields(&one)? {
            ["  ", &*visible(&name), "  ", &*visible(&value), "\n"]
                .iter()
                .for_each(|part| text.push_str(part));
        }
    }
    Ok(text)
}

/// One line a field, `PROVIDER_FIELD`; of two credentials of one provider the newest wins.
fn variables(
    read: &Credentials,
    output: Output,
    line: impl Fn(&str, &str) -> String,
) -> Result<String, CliError> {
    let mut taken: Vec<String> = Vec::new();
    let mut text = String::new();
    for one in read.items()? {
        let provider = upper(&one.provider);
        if taken.contains(&provider) {
            output.warning(&format!(
                "{} of {} is left out: a newer one is there",
                one.integration_id, one.provider
            ));
            continue;
        }
        for (name, value) in fields(&one)? {
            text += &line(&format!("{provider}_{}", upper(&name)), &value);
        }
        taken.push(provider);
    }
    Ok(text)
}

/// Double quotes, in which line ends and quotes are escaped: what dotenv readers agree on.
fn dotenv_line(name: &str, value: &str) -> String {
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('\n', r"\n");
    format!("{name}=\"{escaped}\"\n")
}

fn upper(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(plain).collect()
}

/// Names and values: a string's text, and anything else as its JSON.
fn fields(one: &Credential) -> Result<Vec<(String, Zeroizing<String>)>, CliError> {
    let broken = || CliError::failed("the credential is no JSON object", "look at it with --format json");
    let Members(members) = serde_json::from_slice(one.credentials.expose()).map_err(|_| broken())?;
    let value = |raw: &RawValue| {
        let text = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
        Zeroizing::new(text)
    };
    Ok(members.into_iter().map(|(name, raw)| (name, value(raw))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotenv_line_survives_quotes_dollars_and_line_ends() {
        assert_eq!(dotenv_line("A_B", "x\"y\\z$1\nw"), "A_B=\"x\\\"y\\\\z\\$1\\nw\"\n");
        assert_eq!(upper("azure-devops"), "AZURE_DEVOPS");
    }
}
