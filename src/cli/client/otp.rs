//! `sealroom user otp`: one's own second factor, and the removal of another user's.

use std::{io::IsTerminal, path::PathBuf};

use clap::Subcommand;
use qrcode::{QrCode, render::unicode::Dense1x2};
use serde_json::json;

use super::remote::Remote;
use crate::{
    cli::{
        error::CliError,
        terminal::{
            confirm::{self, Consent},
            output::Output,
            prompt::{self, Asking},
        },
    },
    client::{Error, OneTimeCodes, SecretText},
    domain::Secret,
};

/// The number of times that a code is asked for: with the login that learned of it, below the server's limit of five.
const TRIES: usize = 3;

/// The source of a code.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CodeArgs {
    /// Read the code of your second factor from this file (mode 0600), or - for standard input; prompts for it at a
    /// terminal.
    #[arg(long, env = "SEALROOM_OTP_FILE", value_name = "FILE")]
    otp_file: Option<PathBuf>,
}

impl CodeArgs {
    /// Reads a code.
    pub(super) fn read(&self, output: Output) -> Result<Secret, CliError> {
        confirm::password("Code", self.otp_file.as_ref(), "--otp-file", Asking::Once, output)
    }

    /// Sends a code. One that was typed wrongly is asked for again.
    pub(super) async fn tried<T>(
        &self,
        output: Output,
        send: impl AsyncFn(&Secret) -> Result<T, Error>,
    ) -> Result<T, CliError> {
        let tries = if self.otp_file.is_some() { 1 } else { TRIES };
        for _ in 1..tries {
            match send(&self.read(output)?).await {
                Err(Error::Refused(refusal)) if matches!(refusal.code.as_str(), "wrong_otp" | "bad_otp") => {
                    output.warning("wrong code, or used before: type the one that is shown now");
                }
                outcome => return Ok(outcome?),
            }
        }
        Ok(send(&self.read(output)?).await?)
    }

    fn has_source(&self) -> bool {
        self.otp_file.is_some() || prompt::is_possible()
    }
}

/// `user otp`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set your second factor: shows its secret for an authenticator, then asks for the first code.
    #[command(after_help = "Examples:\n  sealroom user otp enable")]
    Enable(OwnArgs),
    /// Print ten new one-time codes; the earlier ones no longer count.
    #[command(after_help = "Examples:\n  sealroom user otp codes")]
    Codes(OwnArgs),
    /// Remove your second factor, or another user's as an owner.
    #[command(
        after_help = "Examples:\n  sealroom user otp disable\n  sealroom user otp disable bob@example.com"
    )]
    Disable(DisableArgs),
}

#[derive(Debug, clap::Args)]
struct OwnArgs {
    /// Read your current password from this file (mode 0600).
    #[arg(long, value_name = "FILE")]
    current_password_file: Option<PathBuf>,
    #[command(flatten)]
    code: CodeArgs,
}

impl OwnArgs {
    fn password(&self, output: Output) -> Result<Secret, CliError> {
        let file = self.current_password_file.as_ref();
        confirm::password("Current password", file, "--current-password-file", Asking::Once, output)
    }
}

#[derive(Debug, clap::Args)]
struct DisableArgs {
    /// The user's e-mail address [default: your own].
    email: Option<String>,
    #[command(flatten)]
    own: OwnArgs,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: Args, remote: &Remote) -> Result<(), CliError> {
    match args.command {
        Command::Enable(args) => enable(&args, remote).await,
        Command::Codes(args) => {
            let password = args.password(remote.output)?;
            let code = args.code.read(remote.output)?;
            show(&remote.client.renew_otp_codes(&password, &code).await?, remote.output)
        }
        Command::Disable(args) => disable(args, remote).await,
    }
}

async fn enable(args: &OwnArgs, remote: &Remote) -> Result<(), CliError> {
    if !args.code.has_source() {
        // Before the secret is made: its first code can come only from who saw it.
        return Err(CliError::usage(
            "no code: standard input is not a terminal",
            "run it at a terminal, or pass --otp-file - and type the code on standard input",
        ));
    }
    let begun = remote.client.begin_otp(&args.password(remote.output)?).await?;
    if let Some(square) = square(begun.uri.expose()).filter(|_| std::io::stderr().is_terminal()) {
        remote.output.note(&square);
    }
    remote.output.note(&format!(
        "Add this to your authenticator (time-based, six digits, 30 seconds):\n  secret  {}\n  link    {}",
        begun.secret.expose(),
        begun.uri.expose()
    ));
    let confirm = async |code: &Secret| remote.client.confirm_otp(code).await;
    let codes = args.code.tried(remote.output, confirm).await?;
    remote.output.note("the second factor is set, and your other sessions have ended");
    show(&codes, remote.output)
}

/// Draws a QR code, two rows of it a line, light on a dark terminal as a camera reads it.
fn square(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// Shows the one-time codes; where they reach no reader, `user otp codes` makes new ones.
fn show(codes: &OneTimeCodes, output: Output) -> Result<(), CliError> {
    let texts: Vec<&str> = codes.codes.iter().map(SecretText::expose).collect();
    let numbered = texts.iter().zip(1..).map(|(text, number)| format!("{number:>2}  {text}"));
    let lines = numbered.collect::<Vec<_>>().join("\n");
    let end = "\n\nEach stands once for a code of the authenticator. They are shown only once: print them, or keep them \
               away from the password.";
    output.once("the one-time codes", &(lines + end), &json!({ "codes": texts })).map_err(|lost| {
        CliError::failed(
            format!("{lost}; the second factor is set"),
            "sealroom user otp codes, where standard output can be written and is read",
        )
    })
}

async fn disable(args: DisableArgs, remote: &Remote) -> Result<(), CliError> {
    let own = remote.client.own_user().await?.email;
    let Some(email) = args.email.filter(|email| !email.eq_ignore_ascii_case(&own)) else {
        let password = args.own.password(remote.output)?;
        let code = args.own.code.read(remote.output)?;
        let user = remote.client.remove_own_otp(&password, &code).await?;
        return remote
            .output
            .result("your second factor is removed, and your other sessions have ended", &user);
    };
    let loss = format!("This removes the second factor of {email}, and ends all sessions of that user.");
    args.consent.obtain(&loss, &format!("Remove the second factor of {email}?"), remote.output)?;
    let user = remote.client.remove_otp(&email).await?;
    remote.output.result(&format!("{email} has no second factor now, and is logged out everywhere"), &user)
}
