//! Hints for arguments that did not parse: the word, flag or command that was meant.

use std::path::Path;

use clap::{
    Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Names that other tools give to a command; the first of a group that the vault has is meant.
const SAME: &[&[&str]] = &[
    &["add", "create", "new", "register"],
    &["show", "get", "read", "view", "describe"],
    &["delete", "remove", "revoke", "rm", "del"],
    &["list", "ls"],
    &["update", "set", "edit"],
    &["exec", "run"],
    &["credentials", "get", "read", "secret", "secrets"],
];
/// Flags of other tools for a file that is an argument here.
const FILE_FLAGS: &[&str] = &["data", "file", "to", "out", "output"];
/// Maximum number of letters in which a mistyped flag differs from the one that was meant.
const LETTERS: usize = 2;

/// Returns the hint of arguments that did not parse, if it is known; `tip` is clap's own, by likeness alone.
pub(super) fn hint(
    error: &clap::Error,
    mut root: Command,
    args: &[String],
    tip: Option<String>,
) -> Option<String> {
    root.build();
    let (command, name) = named(&root, args);
    let own = match error.kind() {
        ErrorKind::InvalidSubcommand => same(command, &name, text(error, ContextKind::InvalidSubcommand)?),
        ErrorKind::UnknownArgument => {
            let arg = text(error, ContextKind::InvalidArg)?;
            match arg.strip_prefix("--") {
                Some(flag) => without_flag(command, &name, flag),
                None => surplus(command, arg),
            }
        }
        _ => None,
    };
    own.or_else(|| tip.filter(|_| is_near(error)))
}

/// Returns the innermost command that the arguments name, and its full name.
fn named<'a>(root: &'a Command, args: &[String]) -> (&'a Command, String) {
    args.iter().fold((root, root.get_name().to_owned()), |(command, name), word| {
        match command.find_subcommand(word) {
            Some(next) => (next, format!("{name} {}", next.get_name())),
            None => (command, name),
        }
    })
}

/// Names the command that other tools call by that word.
fn same(command: &Command, name: &str, word: &str) -> Option<String> {
    let groups = SAME.iter().filter(|group| group.contains(&word));
    let known = groups.flat_map(|group| *group).find_map(|one| command.find_subcommand(one))?;
    Some(format!("use `{name} {}`", known.get_name()))
}

/// Says that an argument has no flag.
fn without_flag(command: &Command, name: &str, flag: &str) -> Option<String> {
    let argument = command.get_positionals().find_map(|argument| {
        let value = argument.get_value_names()?.first()?.to_string();
        let is_it = value.eq_ignore_ascii_case(flag) || (value == "FILE" && FILE_FLAGS.contains(&flag));
        is_it.then_some(value)
    })?;
    Some(format!("pass it without a flag: {name} {argument}"))
}

/// Names the place of a surplus word: a program's own words, or a vault file.
fn surplus(command: &Command, word: &str) -> Option<String> {
    if command.get_positionals().any(clap::Arg::is_last_set) {
        return Some("put `--` before the command: sealroom exec --project PROJECT -- CMD".to_owned());
    }
    let takes_vault = command.get_arguments().any(|argument| argument.get_long() == Some("data"));
    let is_file = Path::new(word).extension().is_some_and(|end| end == "redb");
    (takes_vault && is_file).then(|| "pass a vault file with --data FILE".to_owned())
}

/// Returns whether clap's tip differs from the word in so few letters that it was meant, or continues it.
fn is_near(error: &clap::Error) -> bool {
    let (word, tips) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        _ => return true,
    };
    let Some(word) = text(error, word).map(|word| word.trim_start_matches('-')) else { return true };
    let is_one = |tip: &str| {
        let tip = tip.trim_start_matches('-').split(' ').next().unwrap_or_default();
        strsim::damerau_levenshtein(tip, word) <= LETTERS || (word.len() > LETTERS && tip.starts_with(word))
    };
    match error.get(tips) {
        Some(ContextValue::String(tip)) => is_one(tip),
        Some(ContextValue::Strings(tips)) => tips.iter().any(|tip| is_one(tip)),
        _ => true,
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}
