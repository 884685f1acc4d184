//! The files of the certificate and its key.

use std::fs;

use super::settings::TlsFiles;
use crate::{
    cli::{error::CliError, secrets, terminal::output::Output},
    clock::Clock,
    domain::Secret,
    http::{Tls, leaf_flaw},
};

/// Reads certificate and key; warns about a certificate that clients will refuse.
///
/// # Errors
/// A file cannot be read, others can read the key, or the two do not match.
pub(super) fn load(files: &TlsFiles, output: &Output) -> Result<Tls, CliError> {
    let (chain, key) = read(files, output)?;
    if let Some(flaw) = flaw(files, &chain) {
        output.warning(&flaw);
    }
    Tls::new(&chain, key.expose()).map_err(|error| unusable(files, &error))
}

/// Reloads both into a running server; if that fails, the old ones stay.
pub(super) fn replace(tls: &Tls, files: &TlsFiles, output: &Output) -> Result<(), CliError> {
    let (chain, key) = read(files, output)?;
    tls.replace(&chain, key.expose()).map_err(|error| unusable(files, &error))?;
    if let Some(flaw) = flaw(files, &chain) {
        tracing::warn!("{flaw}");
    }
    Ok(())
}

fn read(files: &TlsFiles, output: &Output) -> Result<(Vec<u8>, Secret), CliError> {
    let cert = &files.cert;
    let chain = fs::read(cert).map_err(|error| {
        CliError::failed(format!("{}: {error}", cert.display()), "check the path and mode of --tls-cert")
    })?;
    Ok((chain, secrets::key_from_file(&files.key, output)?))
}

fn flaw(files: &TlsFiles, chain: &[u8]) -> Option<String> {
    let flaw = leaf_flaw(chain, Clock::system().now())?;
    let cert = files.cert.display();
    Some(format!(
        "clients will refuse the certificate in {cert}: {flaw}; the README has two commands that create a valid one"
    ))
}

fn unusable(files: &TlsFiles, error: &crate::http::TlsError) -> CliError {
    let TlsFiles { cert, key } = files;
    CliError::failed(
        format!("{} with {}: {error}", cert.display(), key.display()),
        "pass the certificate chain, leaf first, and its private key",
    )
}
