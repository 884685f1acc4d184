//! `sealroom user leave`.

use serde_json::json;

use crate::{
    cli::{
        client::remote::Remote,
        error::CliError,
        terminal::{
            confirm::Consent,
            table::{facts, local_or_nothing, table},
        },
    },
    client::{Left, Token},
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
        .filter(|token| token.status.as_deref() == Some("active"))
        .collect();
    let loss = facts(&[
        ("user", user.email.clone()),
        ("role", user.role.clone()),
        ("last login", local_or_nothing(user.last_login_at)),
    ]) + "\n\n"
        + &of_tokens(&made, args.keep_tokens)
        + "The user is disabled and logged out everywhere. `sealroom user enable` lets the user in again; a revoked \
           token stays revoked.";
    args.consent.obtain(&loss, &format!("Does {} leave?", user.email), remote.output)?;
    let left = remote.client.leave_user(&user.email, args.keep_tokens).await?;
    let value = json!({ "success": true, "user": left.user, "revokedTokens": left.revoked_tokens,
        "keptTokens": left.kept_tokens });
    let next = format!(
        "what this user received and is still live: sealroom exposure --user {} --transitive",
        left.user.email
    );
    remote.output.result(&format!("{}\n{next}", done(&left)), &value)
}

fn of_tokens(made: &[&Token], kept: bool) -> String {
    if made.is_empty() {
        return "The user created no token that is active.\n\n".to_owned();
    }
    let row = |token: &&Token| {
        [token.id.to_string(), token.name.clone(), token.role.clone(), local_or_nothing(token.last_used_at)]
    };
    let tokens = table(["ID", "NAME", "ROLE", "LAST USED"], made.iter().map(row).collect());
    let fate = if kept { "stay valid" } else { "are revoked; --keep-tokens keeps them" };
    format!("The tokens that the user created {fate}:\n{tokens}\n\n")
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
