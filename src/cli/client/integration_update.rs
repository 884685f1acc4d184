//! `sealroom integration update`.

use super::{env_names::EnvFlags, integration_find::find, integration_text::kind, remote::Remote};
use crate::{
    cli::{error::CliError, time_arg::moment},
    client::{Integration, IntegrationChange},
    domain::Timestamp,
};

/// `integration update`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id or name.
    integration: String,
    /// Its new name.
    #[arg(long, conflicts_with = "no_name")]
    name: Option<String>,
    /// Remove its name.
    #[arg(long)]
    no_name: bool,
    /// When the credential expires at the provider, such as 2027-01-31 (midnight in UTC) or 2027-01-31T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "no_expiry")]
    expires_at: Option<Timestamp>,
    /// Remove its expiry.
    #[arg(long)]
    no_expiry: bool,
    #[command(flatten)]
    env: EnvFlags,
    /// Remove the names of its fields: the table decides again.
    #[arg(long, conflicts_with = "names")]
    no_env: bool,
}

pub(super) async fn run(args: Args, remote: &Remote) -> Result<(), CliError> {
    let has_env = args.env.is_given() || args.no_env;
    let has_name = args.name.is_some() || args.no_name;
    let has_expiry = args.expires_at.is_some() || args.no_expiry;
    if !(has_env || has_name || has_expiry) {
        return Err(CliError::usage(
            "nothing to change",
            "pass --name, --expires-at, --env, or one of --no-name, --no-expiry and --no-env",
        ));
    }
    let one = find(&args.integration, remote).await?;
    let change = IntegrationChange {
        name: has_name.then_some(args.name),
        expires_at: has_expiry.then_some(args.expires_at),
        config: has_env
            .then(|| if args.no_env { without_env(&one) } else { args.env.over(Some(&one.config)) }),
    };
    let one = remote.client.change_integration(one.id, &change).await?;
    remote.output.result(&format!("changed {} {}", kind(&one), one.id), &one)
}

fn without_env(one: &Integration) -> Option<serde_json::Value> {
    let mut config = one.config.as_object().cloned().unwrap_or_default();
    config.remove("env");
    (!config.is_empty()).then_some(serde_json::Value::Object(config))
}
