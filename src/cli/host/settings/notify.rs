//! `[notify]`: as `[outgoing]`, only the config file can set it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{Access, access};

use super::{
    outgoing::{self, OutgoingPlan},
    sources::{Sources, check_path},
};
use crate::{
    cli::{
        config,
        error::CliError,
        secrets,
        source::{Given, Source},
        terminal::output::Output,
    },
    config::FileNotify,
    outgoing::{Outgoing, Webhook},
};

/// The targets that the settings name.
pub(in crate::cli::host) struct NotifyPlan {
    webhook: Option<WebhookPlan>,
    /// The program and its arguments; never empty.
    pub(in crate::cli::host) command: Option<Vec<String>>,
}

struct WebhookPlan {
    url: String,
    of_url: Source,
    secret_file: PathBuf,
}

/// The flags of a command that needs no other setting.
#[derive(Debug, clap::Args)]
pub(in crate::cli::host) struct NotifyArgs {
    #[command(flatten)]
    given: Given,
    /// The configuration file that has the targets.
    #[arg(long, env = "SEALROOM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Reads the plan.
///
/// # Errors
/// The URL is no https URL, its secret is missing, or the command is no whole path.
pub(super) fn read(file: FileNotify, sources: &Sources) -> Result<NotifyPlan, CliError> {
    let of_url = sources.of("notify_url", "notify.url");
    let of_secret = sources.of("notify_secret_file", "notify.secret_file");
    let of_command = sources.of("notify_command", "notify.command");
    check_path(file.secret_file.as_deref(), &of_secret)?;
    let webhook = match (file.url, file.secret_file) {
        (None, None) => None,
        (Some(url), Some(secret_file)) => {
            Webhook::check_url(&url).map_err(|invalid| {
                of_url.refuse(format!("it is not {}", invalid.rule), "write the URL of the webhook")
            })?;
            Some(WebhookPlan { url, of_url, secret_file })
        }
        (Some(_), None) => {
            let hint = "name the file of its signing secret with secret_file: whsec_ and the base64 of 32 random bytes";
            return Err(of_url.refuse("a webhook needs notify.secret_file beside it", hint));
        }
        (None, Some(_)) => {
            return Err(of_secret.refuse("it is of no use without notify.url", "set the URL, or omit it"));
        }
    };
    if let Some(command) = &file.command {
        let program = command.first().map(Path::new);
        let can_run = |program: &Path| {
            program.is_absolute() && program.is_file() && access(program, Access::EXEC_OK).is_ok()
        };
        if !program.is_some_and(can_run) {
            let what = "its first item is not the whole path of a program that may be executed";
            return Err(
                of_command.refuse(what, "write it like [\"/usr/local/bin/alert\", \"--vault\", \"team\"]")
            );
        }
    }
    Ok(NotifyPlan { webhook, command: file.command })
}

/// Reads only these settings, and the calls that they need, from a config file.
///
/// # Errors
/// The file cannot be read, a setting is wrong, or it names no target.
pub(in crate::cli::host) fn read_notify(
    args: &NotifyArgs,
) -> Result<(NotifyPlan, Option<OutgoingPlan>), CliError> {
    let Some(path) = &args.config else {
        return Err(CliError::usage(
            "no config file is named, and nothing else can set a target",
            "pass --config FILE, or set SEALROOM_CONFIG",
        ));
    };
    let file = config::read(Some(path), &args.given)?;
    let sources = Sources { given: args.given.clone(), file: Some(path.clone()), data: Source::Default };
    let plan = read(file.notify, &sources)?;
    if plan.webhook.is_none() && plan.command.is_none() {
        return Err(CliError::failed(
            format!("{} names no target of notices", path.display()),
            "set url and secret_file, or command, in its table [notify]",
        ));
    }
    Ok((plan, outgoing::read(file.outgoing, &sources)?))
}

impl NotifyPlan {
    /// Reads the webhook's secret.
    ///
    /// # Errors
    /// Calls are off, the host is not listed, or the secret cannot be read or used.
    pub(in crate::cli::host) fn webhook(
        &self,
        outgoing: Option<&Arc<Outgoing>>,
        output: &Output,
    ) -> Result<Option<(Arc<Outgoing>, Webhook)>, CliError> {
        let Some(WebhookPlan { url, of_url, secret_file }) = &self.webhook else { return Ok(None) };
        let outgoing = outgoing.ok_or_else(|| {
            of_url
                .refuse("outgoing calls are off", "set enabled = true in [outgoing], and list the host there")
        })?;
        let secret = secrets::from_file(secret_file, output)?;
        let webhook = Webhook::new(url, &secret).map_err(|invalid| {
            let what = format!("{}: it is not {}", secret_file.display(), invalid.rule);
            CliError::failed(what, "make one: printf 'whsec_%s\\n' \"$(head -c 32 /dev/urandom | base64)\"")
        })?;
        if !outgoing.allows_webhook(&webhook) {
            let host = webhook.host();
            return Err(of_url.refuse(
                format!("the host {host} is not in hosts of [outgoing]"),
                format!("add \"{host}\" there"),
            ));
        }
        Ok(Some((Arc::clone(outgoing), webhook)))
    }
}
