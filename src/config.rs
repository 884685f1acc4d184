//! L1. Settings: flag, then environment, then the config file, then default.
//!
//! The command line has each setting as an optional flag with an environment variable; this module owns the file and
//! the defaults. `config.example.toml` shows every key, which a test checks.

use std::{fs, path::Path, path::PathBuf};

use serde::Deserialize;

/// The longest key that a message quotes; the longest setting has 25 characters.
const KEY_CHARS_MAX: usize = 40;

/// The config file: every key is optional; an unknown key is an error.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The vault file.
    pub data: Option<PathBuf>,
    /// The listen address: host:port or unix:PATH.
    pub listen: Option<String>,
    /// A reverse proxy terminates TLS.
    pub behind_tls_proxy: Option<bool>,
    /// The networks of that proxy.
    pub trusted_proxies: Option<Vec<String>>,
    /// The names under which clients reach the server.
    pub host_names: Option<Vec<String>>,
    /// The TLS certificate chain.
    pub tls_cert: Option<PathBuf>,
    /// The private key of the TLS certificate.
    pub tls_key: Option<PathBuf>,
    /// The file that holds the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// Members may store integrations.
    pub members_may_create: Option<bool>,
    /// Members may store integrations that hide an owner's.
    pub members_may_shadow: Option<bool>,
    /// Owners need a second factor.
    pub owners_need_otp: Option<bool>,
    /// The projects of a new member whose creator names none: all or none.
    pub new_members_see: Option<String>,
    /// Threads for connections.
    pub worker_threads: Option<u16>,
    /// The engine's page cache, in bytes.
    pub cache_bytes: Option<u32>,
    /// Free disk space below which nothing is stored or disclosed, in bytes.
    pub disk_low_bytes: Option<u64>,
    /// Accept a file system without file locks.
    pub without_file_lock: Option<bool>,
    /// Drop every right that a server does not need.
    pub sandbox: Option<bool>,
    /// The log level: error, warn, info, debug or trace.
    pub log_level: Option<String>,
    /// Reject unknown environment variables that begin with `SEALROOM_`.
    pub strict_env: Option<bool>,
    /// Limits on clients.
    #[serde(default)]
    pub limits: FileLimits,
    /// Settings of the client commands.
    #[serde(default)]
    pub client: FileClient,
    /// The export of checkpoints.
    #[serde(default)]
    pub checkpoint: FileCheckpoint,
    /// The server's own backups.
    #[serde(default)]
    pub backup: FileBackup,
    /// The server's own archives.
    #[serde(default)]
    pub archive: FileArchive,
    /// Calls to providers.
    #[serde(default)]
    pub outgoing: FileOutgoing,
    /// Notices to people.
    #[serde(default)]
    pub notify: FileNotify,
    /// Cosignatures for other vaults.
    #[serde(default)]
    pub witness: FileWitness,
}

/// `[witness]`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileWitness {
    /// The keys of the logs whose checkpoints are cosigned.
    #[serde(rename = "for")]
    pub logs: Option<Vec<String>>,
    /// The witnesses that this vault's own checkpoints are sent to; only the file can set it, as `[outgoing]`.
    pub policy: Option<PathBuf>,
}

/// `[notify]`, which has neither flags nor variables, as `[outgoing]`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileNotify {
    /// The URL of a webhook.
    pub url: Option<String>,
    /// The file that holds its signing secret.
    pub secret_file: Option<PathBuf>,
    /// A program and its arguments.
    pub command: Option<Vec<String>>,
}

/// `[outgoing]`, which has neither flags nor variables: who may set only those cannot make the server call a host.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileOutgoing {
    /// Allow calls.
    pub enabled: Option<bool>,
    /// The hosts that may be called.
    pub hosts: Option<Vec<String>>,
    /// The authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The time for one token, in seconds.
    pub timeout_secs: Option<u16>,
}

/// `[client]`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileClient {
    /// The server's URL.
    pub server: Option<String>,
    /// The profile whose sessions are used.
    pub profile: Option<String>,
    /// The file that holds the token.
    pub token_file: Option<PathBuf>,
    /// The CA certificates that the server's certificate is verified with.
    pub ca_file: Option<PathBuf>,
    /// Allow credentials to be sent without TLS.
    pub insecure_http: Option<bool>,
    /// Ignore the proxy variables of the environment.
    pub no_proxy: Option<bool>,
    /// The time to wait for a server that is starting, in seconds.
    pub connect_wait_secs: Option<u16>,
}

/// `[checkpoint]`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileCheckpoint {
    /// The folder for the newest checkpoint.
    pub folder: Option<PathBuf>,
    /// The interval, in seconds.
    pub every_secs: Option<u32>,
}

/// `[backup]`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileBackup {
    /// The folder for backups.
    pub folder: Option<PathBuf>,
    /// The interval, in seconds.
    pub every_secs: Option<u32>,
    /// The number of backups to keep.
    pub keep: Option<u16>,
}

/// `[archive]`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileArchive {
    /// The folder for archives.
    pub folder: Option<PathBuf>,
    /// The number of days for which an event stays in the vault.
    pub keep_days: Option<u16>,
}

/// `[limits]`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLimits {
    /// The longest body, in bytes.
    pub body_bytes_max: Option<u32>,
    /// The longest header block, in bytes.
    pub header_bytes_max: Option<u32>,
    /// The time for the headers, in seconds.
    pub header_timeout_secs: Option<u16>,
    /// The time for the whole request, in seconds.
    pub request_timeout_secs: Option<u16>,
    /// The longest time that a response may stall, in seconds.
    pub stall_timeout_secs: Option<u16>,
    /// The most concurrent connections.
    pub connections_max: Option<u32>,
    /// The most requests that may wait for the writer.
    pub queue_max: Option<u32>,
    /// The most password checks that may wait for a core.
    pub passwords_waiting_max: Option<u32>,
    /// The most bytes of credentials in one answer.
    pub answer_bytes_max: Option<u32>,
    /// The most bytes of credentials in all answers that are not sent yet.
    pub answers_bytes_max: Option<u32>,
    /// The most credentials that one caller reads in a minute.
    pub disclosures_per_minute_max: Option<u32>,
    /// The most writes of one caller in a minute.
    pub writes_per_minute_max: Option<u32>,
}

/// The defaults.
pub mod default {
    /// The vault file.
    pub const DATA: &str = "sealroom.redb";
    /// The listen address.
    pub const LISTEN: &str = "127.0.0.1:3029";
    /// The server of the client commands: the default listen address.
    pub const SERVER: &str = "http://127.0.0.1:3029";
    /// The engine's page cache; a larger one measured no faster.
    pub const CACHE_BYTES: u32 = 4 << 20;
    /// Free disk space below which nothing is stored or disclosed.
    pub const DISK_LOW_BYTES: u64 = 64 << 20;
    /// The projects of a new member whose creator names none.
    pub const NEW_MEMBERS_SEE: &str = "all";
    /// The log level.
    pub const LOG_LEVEL: &str = "info";
    /// The longest body; a credential with a private key is a few KiB.
    pub const BODY_BYTES_MAX: u32 = 64 * 1024;
    /// The longest header block.
    pub const HEADER_BYTES_MAX: u32 = 16 * 1024;
    /// The time for the headers.
    pub const HEADER_TIMEOUT_SECS: u16 = 10;
    /// The time for the whole request.
    pub const REQUEST_TIMEOUT_SECS: u16 = 30;
    /// The longest time that a response may stall.
    pub const STALL_TIMEOUT_SECS: u16 = 30;
    /// The most concurrent connections.
    pub const CONNECTIONS_MAX: u32 = 1024;
    /// The interval at which the newest checkpoint is written to its folder.
    pub const CHECKPOINT_EVERY_SECS: u32 = 60;
    /// The interval of the server's own backups: a day.
    pub const BACKUP_EVERY_SECS: u32 = 86_400;
    /// The number of days for which an event stays in the vault, if there is a folder for archives.
    pub const ARCHIVE_KEEP_DAYS: u16 = 365;
    /// The host that may be called: GitHub's.
    pub const OUTGOING_HOST: &str = "api.github.com";
    /// The time for one token: two calls of a second each, and a slow day.
    pub const OUTGOING_TIMEOUT_SECS: u16 = 10;
    /// The number of backups that are kept: a week of them.
    pub const BACKUP_KEEP: u16 = 7;
    /// The most requests that may wait for the writer.
    pub const QUEUE_MAX: u32 = 4096;
    /// The most password checks that may wait for a core: two seconds of two cores.
    pub const PASSWORDS_WAITING_MAX: u32 = 128;
    /// The most bytes of credentials in one answer: 1,000 with a private key each.
    pub const ANSWER_BYTES_MAX: u32 = 16 << 20;
    /// The most bytes of credentials in all answers that are not sent yet.
    pub const ANSWERS_BYTES_MAX: u32 = 128 << 20;
    /// The most credentials that one caller reads in a minute: 10,000 a second, far above any pipeline.
    pub const DISCLOSURES_PER_MINUTE_MAX: u32 = 600_000;
    /// The most writes of one caller in a minute: 100 a second. An import of 2,000 integrations needs a third of it.
    pub const WRITES_PER_MINUTE_MAX: u32 = 6_000;
    /// The time to wait for a server that is starting, which derives its key first.
    pub const CONNECT_WAIT_SECS: u16 = 5;
}

/// The error of a config file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the config file cannot be read: {0}")]
    Io(#[source] std::io::Error),
    /// The file is not TOML, or has an unknown key or a value of the wrong type.
    #[error("the config file: {0}")]
    Invalid(String),
}

impl FileConfig {
    /// Reads a config file.
    ///
    /// # Errors
    /// [`ConfigError`], if it cannot be read or is invalid.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&fs::read_to_string(path).map_err(ConfigError::Io)?)
    }

    /// Reads the text of a config file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let place = error.span().map_or(String::new(), |span| place(&text[..span.start]));
            ConfigError::Invalid(format!("{place}{}", suggest_setting(error.message())))
        })
    }
}

/// Returns line and key of an error, from the text before it. Quotes only what can be a key: a line of a text that is no
/// config file may hold a secret before its `=`.
fn place(before: &str) -> String {
    let line = before.matches('\n').count() + 1;
    let key = before.rsplit('\n').next().and_then(|last| last.split_once('=')).map(|(key, _)| key.trim());
    key.filter(|key| is_plain(key))
        .map_or_else(|| format!("line {line}: "), |key| format!("line {line}: {key}: "))
}

/// Returns whether a text looks like a setting's name.
fn is_plain(key: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Rewrites serde's messages: one about an unknown key, which lists all known ones, to suggest the nearest; one about a
/// value, which quotes it, to name its type alone.
fn suggest_setting(message: &str) -> String {
    if let Some((found, expected)) = message.rsplit_once(", expected ")
        && (found.starts_with("invalid type: ") || found.starts_with("invalid value: "))
    {
        let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
        return format!("{kind}, expected {expected}");
    }
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    // The known names hold no backtick; an unknown one may.
    let unknown = message.split_once('`').and_then(|(_, rest)| rest.rsplit_once("`, expected "));
    let Some((unknown, known)) = unknown.filter(|(unknown, _)| is_plain(unknown)) else {
        return "there is a setting of an unknown name".to_owned();
    };
    let words = known.split('`').skip(1).step_by(2);
    let nearness = |known: &&str| strsim::jaro_winkler(unknown, known);
    match words.max_by(|a, b| nearness(a).total_cmp(&nearness(b))) {
        Some(nearest) if nearness(&nearest) > 0.7 => {
            format!("there is no setting `{unknown}`; did you mean `{nearest}`?")
        }
        _ => format!("there is no setting `{unknown}`"),
    }
}

#[cfg(test)]
mod tests;
