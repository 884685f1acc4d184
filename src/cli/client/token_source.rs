//! The token of a command: its sources, and what is checked before it is sent.

use std::{env, path::Path};

#[cfg(unix)]
use zeroize::Zeroizing;

use crate::{
    cli::{error::CliError, paths, secrets, source::Source, terminal::output::Output},
    domain::{
        Secret,
        token_text::{MalformedToken, TokenKind, check_bearer},
    },
};

/// Environment variables of a token; the first non-empty one counts, since pipelines set empty ones.
const TOKENS: [&str; 4] =
    ["SFP_SERVER_TOKEN", "SFP_SERVER_TOKEN_FILE", "SFP_APPLICATION_TOKEN", "SFP_APPLICATION_TOKEN_FILE"];

/// A token that a server may have issued, and its source.
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) kind: TokenKind,
    /// A variable, or a file and the setting that named it.
    pub(super) source: String,
}

impl Token {
    /// Returns the token of the flag, the environment or the config file, the first that is set.
    ///
    /// # Errors
    /// A file cannot be read, or what is there was not issued by a server.
    pub(super) fn find(
        flag: Option<&Path>,
        of_config: Option<&Path>,
        config: &Source,
        output: Output,
    ) -> Result<Option<Self>, CliError> {
        if let Some(path) = flag {
            return Self::from_file(path, "--token-file", output).map(Some);
        }
        for name in TOKENS {
            if name.ends_with("_FILE") {
                if let Some(path) = env::var_os(name).filter(|path| !path.is_empty()) {
                    paths::check(Path::new(&path), &Source::Variable(name.to_owned()))?;
                    return Self::from_file(Path::new(&path), name, output).map(Some);
                }
            } else if let Some(secret) = secrets::from_variable(name)? {
                return Self::checked(&secret, name.to_owned()).map(Some);
            }
        }
        let Some(path) = of_config else { return Ok(None) };
        paths::check(path, config)?;
        Self::from_file(path, "client.token_file", output).map(Some)
    }

    fn from_file(path: &Path, named_by: &str, output: Output) -> Result<Self, CliError> {
        let secret = secrets::from_file(path, &output)
            .map_err(|error| CliError { message: format!("{named_by}: {}", error.message), ..error })?;
        Self::checked(&secret, format!("{} ({named_by})", path.display()))
    }

    /// Refuses, before sending it, a token that no server issued: it was mangled on its way, or is another system's
    /// secret.
    fn checked(secret: &Secret, source: String) -> Result<Self, CliError> {
        let text = secret.expose_text().unwrap_or_default().trim();
        let kind = check_bearer(text).map_err(|damage| {
            let hint = match damage {
                MalformedToken::Empty => "put the token there, or unset it",
                MalformedToken::Foreign => {
                    "nothing was sent; to store a secret, run `sealroom integration add`"
                }
                _ => "store only the token there, as it was printed; nothing was sent",
            };
            let told = CliError::failed(format!("the token in {source} is malformed: {damage}"), hint);
            CliError { code: Some("malformed".to_owned()), ..told }
        })?;
        Ok(Self { secret: Secret::from(text.to_owned()), kind, source })
    }
}

/// Returns the tokens in the environment, for a mask.
#[cfg(unix)]
pub(super) fn tokens_of_environment() -> Vec<Zeroizing<String>> {
    let names = TOKENS.iter().filter(|name| !name.ends_with("_FILE"));
    names.filter_map(|name| env::var(name).ok()).map(Zeroizing::new).collect()
}

/// Returns whether the environment has a token, which takes precedence over a session.
pub(super) fn has_token() -> bool {
    TOKENS.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}
