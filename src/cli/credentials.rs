//! `sealroom credentials`.

use std::io::{self, IsTerminal};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{
    error::CliError,
    output::{Output, Reader},
    remote::{Need, ServerArgs},
    table::visible,
};
use crate::{
    api::Members,
    client::{Credential, CredentialFilter, Credentials, Error},
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

/// How many credentials one answer brings where they are too many for one: the server's most.
const PAGE: usize = 1_000;

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    if args.project.is_none() && !args.all {
        return Err(CliError::usage(
            "no project is named",
            "pass --project PROJECT, or --all for what is stored for any project",
        ));
    }
    let client = args.server.connect(Need::Token, output)?.client;
    let filter = CredentialFilter { provider: args.provider, project: args.project, name: args.name };
    let first = match client.credentials(&filter).await {
        Err(Error::Refused(refusal)) if refusal.code == "too_many_matches" && args.field.is_none() => {
            client.credentials_page(&filter, PAGE, None).await?
        }
        first => first?,
    };
    if let Some(field) = &args.field {
        let value = Zeroizing::new(one_field(&first, field)?);
        warn(output);
        receipt(&first, output);
        return output.bytes(value.as_bytes());
    }
    let format = match args.format {
        None if output.is_json() => Some(Format::Json),
        format => format,
    };
    warn(output);
    let mut writer = Writer { format, output, is_first: true, taken: Vec::new() };
    let mut page = first;
    loop {
        receipt(&page, output);
        // What nobody reads any more is not disclosed either.
        if writer.page(&page)? == Reader::Gone {
            return Ok(());
        }
        let Some(next) = page.next.take() else { break };
        page = client.credentials_page(&filter, PAGE, Some(&next)).await?;
    }
    writer.end()
}

/// Prints page after page as one result. One that breaks off is no JSON, so that nobody takes it for the whole.
struct Writer {
    format: Option<Format>,
    output: Output,
    is_first: bool,
    /// The providers that have their variables.
    taken: Vec<String>,
}

impl Writer {
    fn page(&mut self, read: &Credentials) -> Result<Reader, CliError> {
        let text = Zeroizing::new(match self.format {
            Some(Format::Json) => self.lossless(read)?,
            Some(Format::Env) => self.variables(read, |name, value| {
                format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
            })?,
            Some(Format::Dotenv) => self.variables(read, dotenv_line)?,
            None => readable(read)?,
        });
        self.output.piece(text.as_bytes())
    }

    fn end(self) -> Result<(), CliError> {
        if self.format == Some(Format::Json) { self.output.bytes(b"]\n") } else { Ok(()) }
    }

    /// The items of the server's array as they came, credentials byte for byte, as a part of one array.
    fn lossless(&mut self, read: &Credentials) -> Result<String, CliError> {
        let body = std::str::from_utf8(read.body.expose()).ok().map(str::trim_ascii);
        let items = body.and_then(|body| body.strip_prefix('[')?.strip_suffix(']'));
        let items = items
            .ok_or_else(|| CliError::failed("the answer is no JSON array", "check the URL in --server"))?;
        let before = if self.is_first {
            "["
        } else if items.is_empty() {
            ""
        } else {
            ","
        };
        self.is_first = false;
        Ok([before, items].concat())
    }

    /// One line a field, `PROVIDER_FIELD`; of two credentials of one provider the newest wins.
    fn variables(
        &mut self,
        read: &Credentials,
        line: impl Fn(&str, &str) -> String,
    ) -> Result<String, CliError> {
        let mut text = String::new();
        for one in read.items()? {
            let provider = upper(&one.provider);
            if self.taken.contains(&provider) {
                self.output.warning(&format!(
                    "{} of {} is left out: a newer one is there",
                    one.integration_id, one.provider
                ));
                continue;
            }
            for (name, value) in fields(&one)? {
                text += &line(&format!("{provider}_{}", upper(&name)), &value);
            }
            self.taken.push(provider);
        }
        Ok(text)
    }
}

/// A line that says what happens now.
fn warn(output: Output) {
    if io::stdout().is_terminal() {
        output.warning(
            "a credential is on this screen now, and in its scroll-back; --field with a pipe avoids that",
        );
    }
}

/// In a pipeline's log, what the audit log can be held against.
fn receipt(read: &Credentials, output: Output) {
    if let Some(receipt) = read.receipt.as_ref().filter(|_| !io::stderr().is_terminal()) {
        output.note(&format!("audit-receipt: {receipt}"));
    }
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
