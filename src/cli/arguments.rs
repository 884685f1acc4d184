//! The arguments: flags first, then environment variables for what no flag sets. Each error names the source of the
//! mistake.
//!
//! clap treats a variable as a flag: an empty one ends the command, a wrong one is blamed on a flag that was not given,
//! and one that conflicts with a given flag wins over it. So the flags are parsed first, without variables; an error
//! after that comes from a variable. An argument that has a variable is therefore never required.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use clap::{
    Arg, ArgMatches, Command, Parser,
    builder::{Resettable, ValueParser},
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{error::CliError, paths, source::Source};

/// The reason why the arguments did not parse.
pub(super) enum Refused {
    /// The flags are wrong, or the user asked for help.
    Flags(clap::Error),
    /// A variable or a path is wrong.
    Setting(CliError),
}

/// The parsed arguments and the path of the config file, if any.
pub(super) struct Parsed<C> {
    pub(super) cli: C,
    pub(super) config: Option<PathBuf>,
}

/// Parses the command line, and takes from the environment what it leaves unset.
pub(super) fn parse<C: Parser>(words: &[OsString]) -> Result<Parsed<C>, Refused> {
    let bare = match reading(C::command(), &BTreeSet::new()).try_get_matches_from(words) {
        Ok(matches) => matches,
        // The help shows the variables, so it comes from the command that has them.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            let help = C::command().try_get_matches_from(words).err();
            return Err(Refused::Flags(help.unwrap_or(error)));
        }
        Err(error) => return Err(Refused::Flags(error)),
    };
    let mut built = C::command();
    built.build();
    let variables = wanted(&built, &bare);
    let mut command = reading(C::command(), &variables);
    let parsed = command.try_get_matches_from_mut(words).and_then(|mut matches| {
        let config = config_file(&matches);
        let checked =
            levels(&built, &matches).try_for_each(|(command, matches)| check_paths(command, matches));
        let cli = C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))?;
        Ok(checked.map(|()| Parsed { cli, config }))
    });
    match parsed {
        Ok(checked) => checked.map_err(Refused::Setting),
        Err(error) => Err(blamed::<C>(words, &variables, error)),
    }
}

/// Returns the command with these variables and no others.
fn reading(command: Command, variables: &BTreeSet<OsString>) -> Command {
    let narrow = |arg: Arg| {
        let is_read = arg.get_env().is_none_or(|name| variables.contains(name));
        if is_read { arg } else { arg.env(Resettable::Reset) }
    };
    command.mut_args(narrow).mut_subcommands(|sub| reading(sub, variables))
}

/// Returns the named commands, from the outermost inwards.
fn levels<'a>(
    command: &'a Command,
    matches: &'a ArgMatches,
) -> impl Iterator<Item = (&'a Command, &'a ArgMatches)> {
    std::iter::successors(Some((command, matches)), |(command, matches)| {
        let (name, matches) = matches.subcommand()?;
        Some((command.find_subcommand(name)?, matches))
    })
}

/// Returns the variables that are set, that no flag overrides and that conflict with no flag.
fn wanted(command: &Command, matches: &ArgMatches) -> BTreeSet<OsString> {
    let (mut wanted, mut overruled) = (BTreeSet::new(), BTreeSet::new());
    for (command, matches) in levels(command, matches) {
        let is_given = |arg: &&Arg| origin(arg, matches) == Some(ValueSource::CommandLine);
        let given: Vec<&Arg> = command.get_arguments().filter(is_given).collect();
        for arg in command.get_arguments() {
            let Some(name) = arg.get_env().filter(|name| says_something(name)) else { continue };
            let excludes = |other: &&Arg| {
                command.get_arg_conflicts_with(other).contains(&arg)
                    || command.get_arg_conflicts_with(arg).contains(other)
            };
            let is_overruled = given.contains(&arg) || given.iter().any(excludes);
            if is_overruled { &mut overruled } else { &mut wanted }.insert(name.to_owned());
        }
    }
    wanted.difference(&overruled).cloned().collect()
}

/// Returns whether the variable is set and not empty: pipelines and compose files set empty ones.
fn says_something(name: &OsStr) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Returns the source of the argument's value, if it has one.
fn origin(arg: &Arg, matches: &ArgMatches) -> Option<ValueSource> {
    let id = arg.get_id().as_str();
    // clap treats a query for an id that this level does not define as a bug.
    matches.try_contains_id(id).is_ok_and(|is_there| is_there).then(|| matches.value_source(id)).flatten()
}

/// Finds the one variable that is enough to cause the error.
fn blamed<C: Parser>(words: &[OsString], variables: &BTreeSet<OsString>, error: clap::Error) -> Refused {
    let found = variables.iter().find_map(|name| {
        let alone = reading(C::command(), &BTreeSet::from([name.clone()]));
        Some(wrong(name, &alone.try_get_matches_from(words).err()?))
    });
    found.map_or(Refused::Flags(error), Refused::Setting)
}

fn wrong(variable: &OsStr, error: &clap::Error) -> CliError {
    let variable = variable.to_string_lossy();
    if error.kind() == ErrorKind::InvalidUtf8 {
        return CliError::usage(format!("{variable} is not UTF-8"), "set it to text, or unset it");
    }
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.escape_debug().to_string(),
        Some(ContextValue::Strings(texts)) => texts.join(" or "),
        _ => String::new(),
    };
    let cause = std::error::Error::source(error).map_or(String::new(), |cause| format!(": {cause}"));
    let message = format!("{variable}: invalid value '{}'{cause}", said(ContextKind::InvalidValue));
    let hint = match said(ContextKind::ValidValue) {
        none if none.is_empty() && cause.contains("digit") => "use a whole number without a unit".to_owned(),
        none if none.is_empty() => "unset it for the default".to_owned(),
        values => format!("use {values}, or unset it for the default"),
    };
    CliError::usage(message, hint)
}

/// Checks every path before a command does anything: one that a shell should have expanded leads nowhere.
fn check_paths(command: &Command, matches: &ArgMatches) -> Result<(), CliError> {
    let path = ValueParser::path_buf().type_id();
    for arg in command.get_arguments().filter(|arg| arg.get_value_parser().type_id() == path) {
        let source = match origin(arg, matches) {
            Some(ValueSource::CommandLine) => match arg.get_long() {
                Some(long) => Source::Flag(long.to_owned()),
                None => Source::Positional(arg.get_id().as_str().to_uppercase()),
            },
            Some(ValueSource::EnvVariable) => {
                Source::Variable(arg.get_env().unwrap_or_default().to_string_lossy().into_owned())
            }
            _ => continue,
        };
        for raw in matches.get_raw(arg.get_id().as_str()).into_iter().flatten() {
            paths::check(raw.as_ref(), &source)?;
            if arg.get_id() == "data" {
                paths::check_folder(raw.as_ref(), &source)?;
            }
        }
    }
    Ok(())
}

fn config_file(matches: &ArgMatches) -> Option<PathBuf> {
    let own = matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    own.or_else(|| config_file(matches.subcommand()?.1))
}
