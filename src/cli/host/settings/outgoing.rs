//! `[outgoing]`: the only settings that neither a flag nor a variable can give.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use super::sources::{Sources, bounded, check_path};
use crate::{
    cli::{error::CliError, source::Source},
    config::{FileOutgoing, default},
    outgoing::{AllowedHost, Outgoing, RootsError},
};

/// The longest time for one token: a client waits a minute for its answer.
const TIMEOUT_SECS_MAX: u16 = 60;

/// The calls that the settings allow.
pub(in crate::cli::host) struct OutgoingPlan {
    hosts: Vec<AllowedHost>,
    ca_file: Option<(PathBuf, Source)>,
    timeout: Duration,
}

/// Reads the plan; `None` unless calls are enabled. A wrong setting is an error either way.
pub(super) fn read(file: FileOutgoing, sources: &Sources) -> Result<Option<OutgoingPlan>, CliError> {
    let of_hosts = sources.of("outgoing_hosts", "outgoing.hosts");
    let hosts = file.hosts.unwrap_or_else(|| vec![default::OUTGOING_HOST.to_owned()]);
    let parsed = |text: &String| {
        text.parse::<AllowedHost>().map_err(|invalid| {
            of_hosts.refuse(
                format!("'{}' is not {}", text.escape_debug(), invalid.rule),
                "write the host of the API, with a port unless it is 443",
            )
        })
    };
    let hosts: Vec<AllowedHost> = hosts.iter().map(parsed).collect::<Result<_, _>>()?;
    let of_timeout = sources.of("outgoing_timeout_secs", "outgoing.timeout_secs");
    let secs = file.timeout_secs.unwrap_or(default::OUTGOING_TIMEOUT_SECS);
    let secs = bounded(&of_timeout, secs, 1..=TIMEOUT_SECS_MAX)?;
    let of_ca_file = sources.of("outgoing_ca_file", "outgoing.ca_file");
    check_path(file.ca_file.as_deref(), &of_ca_file)?;
    if file.enabled != Some(true) {
        return Ok(None);
    }
    if hosts.is_empty() {
        return Err(of_hosts.refuse("it lists no host", "list api.github.com, or omit it"));
    }
    let timeout = Duration::from_secs(secs.into());
    Ok(Some(OutgoingPlan { hosts, ca_file: file.ca_file.map(|path| (path, of_ca_file)), timeout }))
}

impl OutgoingPlan {
    /// Reads the trusted authorities.
    ///
    /// # Errors
    /// `ca_file` cannot be read, or there is no authority to trust.
    pub(in crate::cli::host) fn open(self) -> Result<Arc<Outgoing>, CliError> {
        let pem = match &self.ca_file {
            None => None,
            Some((path, source)) => Some(fs::read(path).map_err(|error| {
                let what = format!("{}: {error}", path.display());
                source.refuse(what, "name a PEM file of certificate authorities, or omit it")
            })?),
        };
        let opened = Outgoing::new(self.hosts, pem.as_deref(), self.timeout);
        let opened = opened.map_err(|error| match (error, &self.ca_file) {
            (RootsError::NoCertificate | RootsError::Unreadable, Some((path, source))) => source.refuse(
                format!("{}: {error}", path.display()),
                "name a PEM file of certificate authorities, or omit it",
            ),
            _ => CliError::failed(
                format!("[outgoing] is enabled, and {error}"),
                "install the system's CA certificates, or name a PEM file with ca_file",
            ),
        })?;
        Ok(Arc::new(opened))
    }
}
