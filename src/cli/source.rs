//! The source of a setting: a message about the setting names the place to change.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Command, FromArgMatches, parser::ValueSource};

use super::error::CliError;

/// The source of a setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// `--listen`.
    Flag(String),
    /// An argument without a flag.
    Positional(String),
    /// `SEALROOM_LISTEN`.
    Variable(String),
    /// A key of the config file.
    Key {
        /// The key, with its table.
        key: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The saved session.
    #[cfg(feature = "client")]
    Session,
    /// The default; messages name it only for a path that does not exist.
    Default,
}

impl Source {
    /// Returns the error of a value that cannot be used.
    pub(super) fn refuse(&self, what: impl fmt::Display, hint: impl Into<String>) -> CliError {
        CliError::usage(format!("{self}: {what}"), hint)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Positional(name) | Self::Variable(name) => f.write_str(name),
            Self::Key { key, file } => write!(f, "{key} in {}", file.display()),
            #[cfg(feature = "client")]
            Self::Session => f.write_str("the saved session"),
            Self::Default => f.write_str("the default path"),
        }
    }
}

/// The arguments that a command was given, and their sources. Must be the first field of a struct of arguments: it does
/// not see the fields before it.
#[derive(Debug, Default, Clone)]
pub(super) struct Given {
    flags: Vec<String>,
    variables: Vec<String>,
    /// Each with its text.
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "only a server tells its settings"))]
    values: Vec<(String, String)>,
}

impl Given {
    /// Returns the source of the argument `id`, whose key in the config file is `key`.
    pub(super) fn source(&self, id: &str, key: &'static str, file: Option<&Path>) -> Source {
        let is_in = |ids: &[String]| ids.iter().any(|known| known == id);
        if is_in(&self.flags) {
            Source::Flag(id.replace('_', "-"))
        } else if is_in(&self.variables) {
            Source::Variable(variable(id))
        } else {
            file.map_or(Source::Default, |file| Source::Key { key, file: file.to_owned() })
        }
    }

    /// Returns the arguments that were given, each with its text; several values are separated by commas.
    #[cfg(feature = "server")]
    pub(super) fn values(&self) -> &[(String, String)] {
        &self.values
    }
}

/// Returns the variable of an argument; a test checks this against the commands.
pub(super) fn variable(id: &str) -> String {
    if id == "server" { "SFP_SERVER_URL".to_owned() } else { format!("SEALROOM_{}", id.to_uppercase()) }
}

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = |wanted| {
            // A global argument of an inner command is listed here too, and does not belong to this one.
            let ids = matches.ids().map(clap::Id::as_str).filter(|id| matches.try_contains_id(id).is_ok());
            ids.filter(|id| matches.value_source(id) == Some(wanted)).map(str::to_owned).collect()
        };
        let (flags, variables): (Vec<String>, Vec<String>) =
            (of(ValueSource::CommandLine), of(ValueSource::EnvVariable));
        let text = |id: &String| {
            let values = matches.try_get_raw(id).ok()??.map(|value| value.to_string_lossy().into_owned());
            Some((id.clone(), values.collect::<Vec<_>>().join(",")))
        };
        // clap lists its groups too, which are named as types are.
        let is_group = |id: &&String| id.starts_with(|c: char| c.is_ascii_uppercase());
        let given = flags.iter().chain(&variables).filter(|id| !is_group(id));
        let values = given.filter_map(text).collect();
        Ok(Self { flags, variables, values })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Given {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}
