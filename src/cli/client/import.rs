//! `sealroom import`: the credentials of an export, of a `.env` file or of another tool.
//!
//! Reads and compares first, shows names and never values, and changes nothing without a yes. What is there already is
//! found by its name: it is rotated where its value differs, and left alone where it does not.

mod apply;
mod csv;
mod dotenv;
mod format;
mod found;
mod input;
mod items;
mod json;
mod others;
pub(super) mod own;
mod plan;
#[cfg(any(test, fuzzing))]
pub(super) mod probe;
mod providers;
mod same;
mod yaml;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use self::{
    format::{Input, Values},
    items::{Plan, Skipped},
    others::{Other, Others},
    plan::{Step, What},
};
use super::{
    pair::Pair,
    remote::{Need, Remote, ServerArgs},
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            confirm::Consent,
            output::Output,
            prompt,
            table::{ALL_PROJECTS, NOTHING, list, table},
        },
    },
    client::Scope,
};

/// Examples in the help.
pub(super) const EXAMPLES: &str = "\
Without --yes, and without a terminal to ask at, it only shows what it would do.
Comparing reads what is stored under the same names, and the audit log says so.

Examples:
  sealroom import .env --project acme/app
  sops decrypt secrets.yaml | sealroom import - --global --yes
  vault kv get -format=json secret/db | sealroom import - --name db --project acme/app --yes
  age -d -i key.txt all.json.age | sealroom import - --yes";

/// `import`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The file, or - for standard input: an export of `sealroom export`, .env, JSON or YAML of SOPS, Vault, Infisical or Doppler.
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// For every project that has no integration of its own.
    #[arg(long, conflicts_with = "projects")]
    global: bool,
    /// For this project; may be repeated.
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<String>,
    /// Store all values as the fields of one integration of this name.
    #[arg(long)]
    name: Option<String>,
    /// Store all values as the fields of one integration of this provider and type.
    #[arg(long, value_name = "PROVIDER/TYPE")]
    provider: Option<Pair>,
    /// Only show what would be done.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args, output: Output) -> Result<(), CliError> {
    let is_stdin = args.from.as_os_str() == "-";
    let shown = if is_stdin { "standard input".to_owned() } else { args.from.display().to_string() };
    let text = input::read(&args.from, &shown)?;
    match format::read(&text, &shown)? {
        Input::Own(own) => {
            if args.global || !args.projects.is_empty() || args.name.is_some() || args.provider.is_some() {
                return Err(CliError::usage(
                    format!("{shown} is an export of sealroom, which has names and scopes of its own"),
                    "omit --global, --project, --name and --provider",
                ));
            }
            let wanted = items::of_export(&own).map_err(|bad| {
                CliError::failed(format!("{shown} {bad}"), "export it again; nothing was changed")
            })?;
            let remote = args.server.connect(Need::Token, output)?;
            let others = others::compare(&own, &remote).await?;
            let steps = plan::steps(wanted, &remote).await?;
            let tokens = own.tokens.len();
            let import =
                Import { format: "sealroom", steps, others: Some(others), skipped: Vec::new(), tokens };
            import.finish(&args, &remote).await.map(drop)
        }
        Input::Tool(values) => {
            let plan = Plan { scope: scope(&args)?, name: args.name.clone(), pair: args.provider };
            let Values { format, referring, .. } = &values;
            let (format, referring) = (*format, referring.join(", "));
            let (wanted, skipped) = items::of_tool(values, &plan)?;
            let remote = args.server.connect(Need::Token, output)?;
            if !referring.is_empty() {
                output.warning(&format!("stored as they stand, references unexpanded: {referring}"));
            }
            plan::check_projects(&plan.scope, &remote).await?;
            let steps = plan::steps(wanted, &remote).await?;
            let import = Import { format, steps, others: None, skipped, tokens: 0 };
            let is_applied = import.finish(&args, &remote).await?;
            if is_applied && !is_stdin {
                output.note(&format!("{shown} still holds the values: delete it once nothing reads it"));
            }
            Ok(())
        }
    }
}

fn scope(args: &Args) -> Result<Scope, CliError> {
    match (args.global, args.projects.is_empty()) {
        (true, _) => Ok(Scope::Global),
        (false, false) => Ok(Scope::Projects(args.projects.clone())),
        (false, true) => {
            Err(CliError::usage("no scope given", "pass --project PROJECT, or --global for every project"))
        }
    }
}

/// A compared import.
struct Import<'a> {
    format: &'static str,
    steps: Vec<Step<'a>>,
    others: Option<Others<'a>>,
    skipped: Vec<Skipped>,
    /// The number of described tokens, which nobody can make again.
    tokens: usize,
}

/// One line of the plan.
#[derive(Serialize)]
struct Line {
    r#type: Option<String>,
    name: Option<String>,
    /// `None` for all.
    projects: Option<Vec<String>>,
    result: String,
    /// The projects, as the table shows them.
    #[serde(skip)]
    reach: String,
}

impl Import<'_> {
    /// Shows the plan, carries it out with a yes, and returns whether it had one.
    async fn finish(self, args: &Args, remote: &Remote) -> Result<bool, CliError> {
        let (lines, output) = (self.lines(), remote.output);
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
        let rows = lines.iter().map(|line| {
            // The name and the result come first: a narrow terminal does not show the rest.
            [or_nothing(&line.name), line.result.clone(), or_nothing(&line.r#type), line.reach.clone()]
        });
        let shown = table(["NAME", "RESULT", "TYPE", "FOR"], rows.collect());
        let changes = self.others.as_ref().map_or(0, Others::count)
            + self.steps.iter().filter(|step| !step.is_same()).count();
        let is_asked = !args.dry_run && !args.consent.is_given() && prompt::is_possible() && changes > 0;
        if is_asked {
            output.note(&shown);
            args.consent.obtain("", &format!("Import {changes}?"), output)?;
        }
        let is_applied = is_asked || args.consent.is_given();
        if is_applied {
            apply::apply(&self.steps, self.others.as_ref(), remote).await?;
        }
        let value = json!({
            "format": self.format, "applied": is_applied, "entries": lines, "tokensLeftOut": self.tokens,
        });
        let done = format!("{changes} imported");
        output.result(if is_asked { &done } else { &shown }, &value)?;
        self.tell(changes, is_applied, output);
        Ok(is_applied)
    }

    /// Says what the table does not.
    fn tell(&self, changes: usize, is_applied: bool, output: Output) {
        if self.tokens > 0 {
            output.note(&format!(
                "{} left out, since no export has any: create new ones with `sealroom token create`",
                counted(self.tokens, "application token")
            ));
        }
        let mut users = self.others.iter().flat_map(|others| &others.users);
        if is_applied && users.any(|(_, what)| *what == Other::New) {
            output.note("the new users have no password yet: set one with `sealroom user password EMAIL`");
        }
        if !is_applied && changes > 0 {
            output.note(&format!("nothing was changed: {changes} to do, run it again with --yes"));
        }
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (project, what) in self.others.iter().flat_map(|others| &others.projects) {
            lines.push(
                line(Some("project"), Some(&project.identifier), None, of_other(*what)).without_reach(),
            );
        }
        for (user, what) in self.others.iter().flat_map(|others| &others.users) {
            lines.push(line(Some(&user.role), Some(&user.email), user.projects.as_deref(), of_other(*what)));
        }
        for step in &self.steps {
            let wanted = &step.wanted;
            let projects = match &wanted.scope {
                Scope::Global => None,
                Scope::Projects(projects) => Some(&projects[..]),
            };
            let kind = format!("{}/{}", wanted.provider, wanted.auth_type);
            lines.push(line(Some(&kind), wanted.name.as_deref(), projects, of_step(step)));
        }
        for one in &self.skipped {
            let result = format!("skipped: {}", one.reason);
            lines.push(line(None, Some(&one.name), None, &result).without_reach());
        }
        lines
    }
}

fn line(r#type: Option<&str>, name: Option<&str>, projects: Option<&[String]>, result: &str) -> Line {
    Line {
        r#type: r#type.map(str::to_owned),
        name: name.map(str::to_owned),
        projects: projects.map(<[String]>::to_vec),
        result: result.to_owned(),
        reach: projects.map_or_else(|| ALL_PROJECTS.to_owned(), list),
    }
}

impl Line {
    /// Shows no projects, for what has none.
    fn without_reach(self) -> Self {
        Self { reach: NOTHING.to_owned(), ..self }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} is") } else { format!("{count} {what}s are") }
}

fn of_step(step: &Step<'_>) -> &'static str {
    match (&step.what, step.config_of) {
        (What::New, _) => "new",
        (What::Rotate { .. }, _) => "rotated",
        (What::Same, Some(_)) => "config updated",
        (What::Same, None) => "same",
    }
}

const fn of_other(what: Other) -> &'static str {
    match what {
        Other::New => "new",
        Other::Disable => "disabled",
        Other::Same => "same",
        Other::Differs => "differs, left as it is",
    }
}
