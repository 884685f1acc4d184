//! `sealroom credentials`.

mod config_env;
mod docker;
mod dotenv;
mod fields;
mod file;
mod github;
mod inner;
mod known;
#[cfg_attr(not(unix), allow(dead_code, reason = "`exec` is for Unix"))]
mod names;
mod pages;
#[cfg(any(test, fuzzing))]
pub(super) mod probe;
mod selector;
mod shell;
mod sole;
mod steering;

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use zeroize::Zeroizing;

use super::{
    near,
    remote::{Need, Remote, ServerArgs},
    selection::Selection,
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            output::{Output, Reader},
            table::visible,
        },
    },
    client::{Credential, CredentialFilter, Credentials},
    domain::Provider,
};
use fields::{fields, shown};
use file::Sink;
#[cfg(unix)]
pub(super) use inner::secrets_within;
#[cfg(unix)]
pub(super) use names::MASKED_BYTES_MIN;
pub(super) use names::{Naming, Variable, variables};
pub(super) use pages::{Pages, report, report_receipt};
pub(super) use selector::{Assignment, is_variable};
pub(super) use steering::steers;

/// Examples in the help. If the read fails, `env` prints `false`: under `set -e`, an `eval` of it ends the script;
/// without `set -e`, `&&` and `||` see the failure.
pub(super) const EXAMPLES: &str = "\
If --format env fails, it prints `false`, so that `eval` fails too.

Examples:
  TOKEN=$(sealroom credentials --provider github --project acme/app --field token)
  x=$(sealroom credentials --project acme/app --format env) && eval \"$x\" || exit
  sealroom credentials --project acme/app --format dotenv --output .env";

/// `credentials`' flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Print only this field of the one matching credential; a line end follows only on a terminal.
    #[arg(long, conflicts_with = "format")]
    field: Option<String>,
    /// Print all fields in this format.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Name a field yourself, such as `GH_TOKEN=github.token`; ID.FIELD selects too, and NAME.FIELD for `custom`.
    #[arg(long, value_name = "NAME=SELECTOR", requires = "format")]
    env: Vec<Assignment>,
    /// Write to this file (mode 0600) instead of stdout; it appears once it is complete.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The server's JSON array, each credential byte for byte.
    Json,
    /// `export` lines for `eval` in a POSIX shell.
    Env,
    /// Lines that sh, python-dotenv, Node.js, npm's dotenv and docker compose parse alike; docker run does not.
    Dotenv,
    /// Masks for the log and variables for the later steps of a GitHub Actions job, in `$GITHUB_ENV`.
    Github,
    /// Lines for docker run --env-file.
    Docker,
}

impl Args {
    /// Returns whether a shell evaluates the output.
    pub(super) fn feeds_a_shell(&self) -> bool {
        self.format == Some(Format::Env) && self.output.is_none()
    }
}

/// Returns whether arguments that failed to parse ask for output that a shell evaluates.
///
/// Looks for the word `env` anywhere: the flag before it may be the mistake. Next to `--field`, `env` is a value.
pub(in crate::cli) fn may_feed_a_shell(arguments: impl Iterator<Item = OsString>) -> bool {
    let is_env = |word: &OsStr| {
        let word = word.to_string_lossy().to_ascii_lowercase();
        word == "env" || word.ends_with("=env")
    };
    let arguments: Vec<OsString> = arguments.collect();
    let is_field = |word: &OsString| word.to_string_lossy().starts_with("--field");
    // A mistyped format may have been meant as `env`.
    let is_format = |words: &[OsString]| {
        words[0] == "--format" && !["json", "dotenv", "github", "docker"].iter().any(|one| words[1] == *one)
    };
    (arguments.iter().any(|word| is_env(word)) || arguments.windows(2).any(is_format))
        && !arguments.iter().any(is_field)
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    if !args.selection.has_projects() {
        return Err(CliError::usage(
            "no project given",
            "pass --project PROJECT, or --all for every project",
        ));
    }
    let format = args.format.or(output.is_json().then_some(Format::Json));
    if args.output.is_some() && args.field.is_none() && matches!(format, None | Some(Format::Github)) {
        return Err(CliError::usage(
            "--output needs the format of the file",
            "pass --format json, env, dotenv or docker, or --field NAME",
        ));
    }
    let remote = args.server.connect(Need::Token, output)?;
    let filter = args.selection.into_filter();
    let printing = Printing { remote: &remote, filter: &filter, given: &args.env };
    let printed = match (args.field, format) {
        (Some(field), _) => printing.field(&field, Sink::open(args.output, output)?).await,
        (None, Some(Format::Github)) => printing.job().await,
        (None, format) => printing.all(format, Sink::open(args.output, output)?).await,
    };
    match printed {
        Ok(()) => Ok(()),
        Err(error) => Err(with_suggestion(error, &filter, &remote).await),
    }
}

/// Returns the error with a suggestion for a mistyped provider or project.
pub(super) async fn with_suggestion(error: CliError, filter: &CredentialFilter, remote: &Remote) -> CliError {
    let known = || Provider::ALL.iter().map(|one| one.as_str());
    match &filter.provider {
        Some(provider) if provider.parse::<Provider>().is_err() => match near::nearest(provider, known()) {
            Some(meant) => CliError { hint: format!("did you mean {meant}?"), ..error },
            None => error,
        },
        _ => near::project(error, filter.project.as_slice(), &remote.client).await,
    }
}

/// Returns a credential's fields, each with its text.
pub(super) fn text_fields(one: &Credential) -> Result<Vec<(String, Zeroizing<String>)>, CliError> {
    Ok(fields(one)?.into_iter().map(|field| (field.name, field.value)).collect())
}

/// One command's read.
struct Printing<'a> {
    remote: &'a Remote,
    filter: &'a CredentialFilter,
    given: &'a [Assignment],
}

impl Printing<'_> {
    /// Prints the bytes and nothing else: a line end would change the value of a key file, a digest or a `kubectl`
    /// secret.
    async fn field(&self, field: &str, mut sink: Sink) -> Result<(), CliError> {
        let value = sole::read(self.remote, self.filter, field).await?;
        self.warn(&sink);
        sink.piece(value.as_bytes())?;
        if sink.is_terminal() {
            sink.piece(b"\n")?;
        }
        sink.finish()
    }

    async fn all(&self, format: Option<Format>, sink: Sink) -> Result<(), CliError> {
        match format {
            Some(Format::Env) => self.print_variables(shell::exports, sink).await,
            Some(Format::Dotenv) => self.print_variables(dotenv::lines, sink).await,
            Some(Format::Docker) => self.print_variables(docker::lines, sink).await,
            Some(Format::Json) => self.array(sink).await,
            Some(Format::Github) => self.job().await,
            None => self.listing(sink).await,
        }
    }

    /// Sets all variables for the later steps of a job.
    async fn job(&self) -> Result<(), CliError> {
        let job = github::Job::of_environment()?;
        job.set(&self.variables().await?, self.remote.output)
    }

    async fn variables(&self) -> Result<Vec<Variable>, CliError> {
        let pages = Pages::new(self.remote, self.filter);
        let naming =
            Naming { asked_name: pages.asked_name(), given: self.given, prevented: "nothing was printed" };
        variables(&pages.all().await?, &naming)
    }

    /// Prints all variables, or none if one has no name, two values or no spelling.
    async fn print_variables(
        &self,
        spell: fn(&[Variable]) -> Result<Zeroizing<String>, CliError>,
        mut sink: Sink,
    ) -> Result<(), CliError> {
        let text = spell(&self.variables().await?)?;
        self.warn(&sink);
        sink.piece(text.as_bytes())?;
        sink.finish()
    }

    /// Prints the server's items unchanged, credentials byte for byte, page after page as one array. A truncated array
    /// is not valid JSON, so it cannot pass for the whole.
    async fn array(&self, mut sink: Sink) -> Result<(), CliError> {
        self.warn(&sink);
        let (mut pages, mut is_first) = (Pages::new(self.remote, self.filter), true);
        while let Some(page) = pages.next().await? {
            let items = items_of(&page)?;
            let before = match (is_first, items.is_empty()) {
                (true, _) => "[",
                (false, true) => "",
                (false, false) => ",",
            };
            is_first = false;
            let text = Zeroizing::new([before, items].concat());
            // Stop disclosing once the reader has closed its end.
            if sink.piece(text.as_bytes())? == Reader::Gone {
                return Ok(());
            }
        }
        sink.piece(b"]\n")?;
        sink.finish()
    }

    async fn listing(&self, mut sink: Sink) -> Result<(), CliError> {
        self.warn(&sink);
        let mut pages = Pages::new(self.remote, self.filter);
        while let Some(page) = pages.next().await? {
            if sink.piece(readable(&page)?.as_bytes())? == Reader::Gone {
                return Ok(());
            }
        }
        sink.finish()
    }

    /// Warns that a terminal, and its scrollback, now shows a credential.
    fn warn(&self, sink: &Sink) {
        if sink.is_terminal() {
            self.remote
                .output
                .warning("this screen and its scrollback now show a credential; pipe --field to avoid that");
        }
    }
}

fn items_of(page: &Credentials) -> Result<&str, CliError> {
    let body = std::str::from_utf8(page.body.expose()).ok().map(str::trim_ascii);
    let items = body.and_then(|body| body.strip_prefix('[')?.strip_suffix(']'));
    items.ok_or_else(|| CliError::failed("the answer is no JSON array", "check the URL in --server"))
}

fn readable(page: &Credentials) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    for one in page.items()? {
        let label = one.name.as_ref().map(|name| format!("  {}", shown(name))).unwrap_or_default();
        let head =
            format!("{}/{}  {}{label}\n", shown(&one.provider), shown(&one.auth_type), one.integration_id);
        text.push_str(&head);
        for field in fields(&one)? {
            let value = Zeroizing::new(visible(&field.value).into_owned());
            ["  ", &*visible(&field.name), "  ", value.as_str(), "\n"]
                .iter()
                .for_each(|part| text.push_str(part));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_whose_output_a_shell_evaluates_is_known_as_one() {
        let may = |line: &str| may_feed_a_shell(line.split(' ').map(OsString::from));
        for line in [
            "credentials --format env --alll",
            "credentials --format=env --project",
            "credentials --fromat env",
            "credentials --format=ENV",
            "credntials --all --format env",
            "credentials --all --format en",
        ] {
            assert!(may(line), "{line}");
        }
        for line in [
            "credentials --format dotenv",
            "credentials --all",
            "credentials --name env --field token --alll",
            "token create environment --x",
        ] {
            assert!(!may(line), "{line}");
        }
    }
}
