//! Secrets passed as arguments: every user of the host can see those, and a shell's history keeps them.
//!
//! No such flag exists, so this module can only report the mistake before anything else, without the value.

use std::{path::Path, sync::OnceLock};

use clap::{Command, error::ContextKind, error::ContextValue, error::ErrorKind};

use super::error::CliError;

/// Words in the name of a flag whose value is a secret; a long one also matches with one wrong letter.
const SECRETS: &[&str] = &[
    "token",
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "pw",
    "secret",
    "value",
    "key",
    "apikey",
    "credential",
    "credentials",
    "pat",
    "bearer",
    "auth",
    "authorization",
];
/// Last words of a name whose value describes a secret and is not one.
const ABOUT: &[&str] = &["id", "name", "type", "url", "days", "ttl", "role"];
/// Last words of a name whose value locates a secret.
const PLACES: &[&str] = &["file", "path", "stdin", "fd"];
/// Prefixes of the secrets of known services, and of this vault's own tokens.
const BEGINNINGS: &[&str] = &[
    "sfp_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "npm_",
    "sk-",
    "xox",
    "AKIA",
    "eyJ",
    "ATATT",
    "-----BEGIN",
];
/// Minimum length of an unbroken run of letters and digits that is taken for a secret.
const UNBROKEN: usize = 16;

/// Returns the error of a secret among the arguments, or of a surplus word, which may be one; else clap's own applies.
///
/// `meant` is the hint of a surplus word that has a place elsewhere.
pub(super) fn secret_argument(
    error: &clap::Error,
    mut root: Command,
    meant: Option<String>,
) -> Option<CliError> {
    root.build();
    let args = words();
    let command = args.iter().fold(&root, |command, word| command.find_subcommand(word).unwrap_or(command));
    let told = |(index, arg): (usize, &String)| {
        let (name, inline) = match arg.strip_prefix("--")?.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg.strip_prefix("--")?, None),
        };
        if is_known(command, name) {
            return None;
        }
        let kind = Kind::of(name)?;
        let next = || args.get(index + 1).filter(|next| !next.starts_with('-')).map(String::as_str);
        let is_given = inline.or_else(next).is_some_and(|value| !value.is_empty());
        let instead = instead(command, name);
        Some(match kind {
            Kind::Secret if is_given => CliError::usage(
                format!("--{name}: secrets are not accepted as arguments"),
                format!("{instead}; this one is now in your shell's history"),
            ),
            Kind::Secret => {
                CliError::usage(format!("--{name}: secrets are not accepted as arguments"), instead)
            }
            Kind::Place => CliError::usage(format!("there is no --{name} here"), instead),
        })
    };
    let surplus = || {
        let may_be_secret = || {
            format!(
                "{}; secrets come from a prompt or a file, and this one is now in your shell's history",
                see_help()
            )
        };
        let hint = || meant.unwrap_or_else(may_be_secret);
        is_surplus(error).then(|| CliError::usage("unexpected extra argument", hint()))
    };
    args.iter().enumerate().find_map(told).or_else(surplus)
}

/// Returns this process's arguments, up to those of a program that it runs.
pub(super) fn words() -> Vec<String> {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    args.take_while(|arg| arg != "--").collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The value is the secret itself.
    Secret,
    /// The value locates the secret.
    Place,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let name = name.to_lowercase().replace('_', "-");
        let words: Vec<&str> = name.split('-').collect();
        let is_like = |word: &str, secret: &str| {
            word == secret || (secret.len() > 4 && strsim::damerau_levenshtein(word, secret) == 1)
        };
        let last = words.last()?;
        if ABOUT.contains(last)
            || !words.iter().any(|word| SECRETS.iter().any(|secret| is_like(word, secret)))
        {
            return None;
        }
        Some(if PLACES.contains(last) { Self::Place } else { Self::Secret })
    }
}

/// Returns whether the command has that flag, or one that differs by a letter or two: then clap's own error applies.
fn is_known(command: &Command, name: &str) -> bool {
    let is_it = |long: &str| strsim::levenshtein(long, name) <= if name.len() > 6 { 2 } else { 0 };
    longs(command).any(|long| is_it(&long))
}

fn longs(command: &Command) -> impl Iterator<Item = String> {
    command.get_arguments().flat_map(|arg| {
        let own = arg.get_long().map(str::to_owned);
        own.into_iter().chain(arg.get_all_aliases().unwrap_or_default().into_iter().map(str::to_owned))
    })
}

/// Names the source that the command takes that secret from.
fn instead(command: &Command, name: &str) -> String {
    let has = |flag: &str| longs(command).any(|long| long == flag);
    let name = name.to_lowercase().replace('_', "-");
    let own = format!("{name}-file");
    if has("from-json") {
        return "use the prompt or --from-json FILE".to_owned();
    }
    if has("token-file") && name.contains("token") {
        return "use --token-file FILE, or the variable SFP_SERVER_TOKEN".to_owned();
    }
    let of_people = |long: &String| long.ends_with("password-file") || long.ends_with("passphrase-file");
    match longs(command).find(|long| *long == own).or_else(|| longs(command).find(of_people)) {
        Some(flag) => format!("use the prompt or --{flag} FILE"),
        None if has("token-file") => "use --token-file FILE, or `sealroom login`".to_owned(),
        None => format!("secrets come from a prompt or a file: {}", see_help()),
    }
}

/// The grammar of this process, for hints from commands that must not know it.
static GRAMMAR: OnceLock<fn() -> Command> = OnceLock::new();

/// Sets the grammar that [`see_help`] reads.
pub(super) fn set_grammar(grammar: fn() -> Command) {
    GRAMMAR.get_or_init(|| grammar);
}

/// Returns the hint that names the help of the command that the arguments name.
pub(super) fn see_help() -> String {
    let Some(grammar) = GRAMMAR.get() else { return "see `sealroom --help`".to_owned() };
    let (mut command, mut name) = (grammar(), "sealroom".to_owned());
    for word in std::env::args_os().skip(1) {
        if let Some(next) = command.find_subcommand(&word).cloned() {
            name = format!("{name} {}", next.get_name());
            command = next;
        }
    }
    format!("see `{name} --help`")
}

/// Returns whether clap failed on a surplus word: it may be anything, and is not repeated.
fn is_surplus(error: &clap::Error) -> bool {
    let arg = text(error, ContextKind::InvalidArg);
    error.kind() == ErrorKind::UnknownArgument && arg.is_some_and(|arg| !arg.starts_with('-'))
}

/// Returns clap's text without a value that may be a secret.
pub(super) fn without_secrets(error: &clap::Error, said: String) -> String {
    let kinds = [ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    let values = kinds.into_iter().filter_map(|kind| text(error, kind));
    values.filter(|value| is_secret(value)).fold(said, |said, value| said.replace(value, "…"))
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// Refuses a secret in place of its file's name; the error of a missing file would repeat it.
pub(super) fn check_place(path: &Path) -> Result<(), CliError> {
    let text = path.to_string_lossy();
    let is_one = text.trim_start().starts_with('{') || (is_secret(&text) && !text.contains('/'));
    if !is_one || path.exists() {
        return Ok(());
    }
    Err(CliError::usage(
        "no such file, and the name looks like a secret",
        "write the secret to a file (mode 0600) and pass its path; a secret typed as an argument is now in your shell's history",
    ))
}

fn is_secret(value: &str) -> bool {
    let unbroken = value.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        let (digit, letter) = (|c: char| c.is_ascii_digit(), |c: char| c.is_ascii_alphabetic());
        run.len() >= UNBROKEN && run.contains(digit) && run.contains(letter)
    });
    unbroken || BEGINNINGS.iter().any(|beginning| value.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_looks_like_a_secret_by_its_words() {
        for name in [
            "token",
            "api-key",
            "API_KEY",
            "client_secret",
            "passwd",
            "passwrd",
            "tokn",
            "credentials",
            "my-pat",
        ] {
            assert_eq!(Kind::of(name), Some(Kind::Secret), "{name}");
        }
        for name in ["secret-file", "credentials-path", "password-stdin"] {
            assert_eq!(Kind::of(name), Some(Kind::Place), "{name}");
        }
        for name in [
            "auth-type",
            "key-id",
            "token-name",
            "project",
            "expires-at",
            "username",
            "path",
            "sever",
            "keys-of",
        ] {
            assert_eq!(Kind::of(name), None, "{name}");
        }
    }

    #[test]
    fn a_value_looks_like_a_secret_by_its_beginning_or_its_length() {
        for value in ["ghp_example", "sfp_app_example", "0123456789abcdefghij", "x:0123456789abcdefghij"] {
            assert!(is_secret(value), "{value}");
        }
        for value in [
            "gihub/pat",
            "4000",
            "yesterday",
            "01a21223-f29a-7866-aed8-5717f26d1cd1",
            "azuredevops",
            "2020-01-01T00:00:00Z",
        ] {
            assert!(!is_secret(value), "{value}");
        }
    }
}
