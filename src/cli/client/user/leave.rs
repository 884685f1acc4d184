//! `sealroom user leave`.

use serde_json::json;

use crate::{
    api::responses::Made,
    cli::{
        client::{exposure_text::report, remote::Remote},
        error::CliError,
        terminal::{
            confirm::Consent,
            table::{facts, local_or_nothing, table},
        },
    },
    client::{Exposure, ExposureQuestion, Left, Token},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LeaveArgs {
    /// The address.
    email: String,
    /// Keep the tokens that the user created.
    #[arg(long)]
    keep_tokens: bool,
    #[command(flatten)]
    pub(super) consent: Consent,
}

pub(super) async fn leave(args: LeaveArgs, remote: &Remote) -> Result<(), CliError> {
    let user = remote.client.user(&args.email).await?;
    let creator = format!("user:{}", user.email);
    let tokens = remote.client.tokens().await?;
    let made: Vec<&Token> = tokens
        .iter()
        .filter(|token| token.created_by.as_ref() == Some(&creator))
        .filter(|token| token.status.as_deref() != Some("revoked"))
        .collect();
    let loss = facts(&[
        ("user", user.email.clone()),
        ("role", user.role.clone()),
        ("last login", local_or_nothing(user.last_login_at)),
    ]) + "\n\n"
        + &of_tokens(&made, args.keep_tokens)
        + "The user is disabled and logged out everywhere. `sealroom user enable` lets the user in again; a revoked \
           token stays revoked. Users whom the user created stay: the list that follows names them.";
    args.consent.obtain(&loss, &format!("Does {} leave?", user.email), remote.output)?;
    let left = remote.client.leave_user(&user.email, args.keep_tokens).await?;
    let exposure = exposure(&left.user.email, remote).await;
    let value = json!({ "success": true, "user": left.user, "revokedTokens": left.revoked_tokens,
        "keptTokens": left.kept_tokens, "exposure": exposure });
    let list = exposure
        .as_ref()
        .map_or_else(String::new, |exposure| format!("{}\n\n{}", of_users(exposure), report(exposure)));
    remote.output.result(&format!("{}{list}", done(&left)), &value)
}

/// Returns what the user knows that is still live. The user has left, whether or not the log can be read.
async fn exposure(email: &str, remote: &Remote) -> Option<Exposure> {
    let actor = Some(format!("user:{email}"));
    let question = ExposureQuestion { actor, transitive: true, ..ExposureQuestion::default() };
    match remote.client.exposure(&question).await {
        Ok(exposure) => Some(exposure),
        Err(error) => {
            let error = CliError::from(error);
            remote.output.warning(&format!(
                "{}; what the user knows is not shown: sealroom exposure --user {email} --transitive",
                error.message
            ));
            None
        }
    }
}

fn of_tokens(made: &[&Token], kept: bool) -> String {
    if made.is_empty() {
        return "The user created no token that is not revoked.\n\n".to_owned();
    }
    let row = |token: &&Token| {
        [token.id.to_string(), token.name.clone(), token.role.clone(), local_or_nothing(token.last_used_at)]
    };
    let tokens = table(["ID", "NAME", "ROLE", "LAST USED"], made.iter().map(row).collect());
    let fate = if kept { "stay valid" } else { "are revoked; --keep-tokens keeps them" };
    format!("The tokens that the user created {fate}:\n{tokens}\n\n")
}

/// Tells of users who still get in and whose first passwords the leaver gave them.
fn of_users(exposure: &Exposure) -> String {
    let is_active =
        |made: &&Made| made.actor.starts_with("user:") && made.status.as_deref() == Some("active");
    match exposure.made.iter().filter(is_active).count() {
        0 => String::new(),
        1 => "\n1 user of the list below is still active, and the leaver may know the password".to_owned(),
        count => format!(
            "\n{count} users of the list below are still active, and the leaver may know their passwords"
        ),
    }
}

fn done(left: &Left) -> String {
    let tokens = |count: usize| format!("{count} token{}", if count == 1 { "" } else { "s" });
    let kept = match left.kept_tokens.len() {
        0 => String::new(),
        count => format!(", {} kept", tokens(count)),
    };
    format!(
        "{} is disabled and logged out everywhere, {} revoked{kept}",
        left.user.email,
        tokens(left.revoked_tokens.len())
    )
}
