//! Checks of the settings before the vault file is opened: a mistake must not cost a key derivation or a record.

use std::{fs, path::Path};

use super::{address::Address, plan::Plan};
use crate::cli::{error::CliError, paths, source::Source, terminal::output::Output};

/// Maximum length of a socket's path on Linux: `sun_path` has 108 bytes, one of them the terminating NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Refuses a listener on which credentials would cross a network in the clear.
pub(in crate::cli::host) fn check_listener(plan: &Plan, dev: bool) -> Result<(), CliError> {
    let source = plan.sources.of_top("listen");
    let Address::Tcp(tcp) = &plan.address else {
        return match plan.tls {
            Some(_) => Err(source
                .refuse("a unix socket cannot use TLS", format!("omit {}", plan.sources.of_top("tls_cert")))),
            None => Ok(()),
        };
    };
    if tcp.ip().is_loopback() || plan.tls.is_some() {
        return Ok(());
    }
    if dev {
        return Err(CliError::usage(
            format!("{source}: {tcp} is not a loopback address, and serve --dev listens only on loopback"),
            "omit it, or use 127.0.0.1:PORT",
        ));
    }
    if plan.behind_tls_proxy {
        return if plan.names_proxies { Ok(()) } else { Err(unnamed_proxies(&source, tcp)) };
    }
    Err(CliError::usage(
        format!("{source}: {tcp} is not a loopback address, and TLS is off"),
        "pass --tls-cert and --tls-key, or listen on 127.0.0.1, or run behind a TLS proxy with --behind-tls-proxy",
    ))
}

/// Whoever reaches such a listener past the proxy would choose the address that it is known by.
fn unnamed_proxies(source: &Source, tcp: &std::net::SocketAddr) -> CliError {
    CliError::usage(
        format!("{source}: {tcp} is not a loopback address, and no trusted proxy is named"),
        "name the proxy's network with --trusted-proxies 10.0.0.0/8, or listen on 127.0.0.1",
    )
}

/// Checks that the files that the settings name can exist.
///
/// # Errors
/// A folder is missing, or the vault file is not one.
pub(in crate::cli::host) fn check_files(plan: &Plan, output: &Output) -> Result<(), CliError> {
    let source = &plan.sources.data;
    paths::check_folder(&plan.data, source)?;
    match fs::metadata(&plan.data) {
        Ok(found) if found.is_dir() => {
            let message = format!("{source}: {} is a folder", plan.data.display());
            return Err(CliError::failed(message, "name the vault file in it"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CliError::failed(
                format!("{source}: {} does not exist", plan.data.display()),
                "create it with `sealroom init`, or pass another file with --data",
            ));
        }
        Ok(_) | Err(_) => {}
    }
    if let Address::Unix(path) = &plan.address {
        check_socket(path, plan)?;
    }
    if let Some(checkpoints) = &plan.checkpoints
        && !checkpoints.folder.is_dir()
    {
        // A share may be mounted later; the vault is needed now.
        let source = plan.sources.of("checkpoint_folder", "checkpoint.folder");
        output.warning(&format!(
            "{source}: {} is not a folder: no checkpoint is written until it is one",
            checkpoints.folder.display()
        ));
    }
    if let Some(backups) = &plan.backups
        && !backups.folder.is_dir()
    {
        let source = plan.sources.of("backup_folder", "backup.folder");
        let folder = backups.folder.display();
        output.warning(&format!("{source}: {folder} is not a folder: no backup is made until it is one"));
    }
    if let Some(archives) = &plan.archives
        && !archives.folder.is_dir()
    {
        let source = plan.sources.of("archive_folder", "archive.folder");
        let folder = archives.folder.display();
        output.warning(&format!("{source}: {folder} is not a folder: no event is archived until it is one"));
    }
    Ok(())
}

fn check_socket(path: &Path, plan: &Plan) -> Result<(), CliError> {
    let source = plan.sources.of_top("listen");
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let what = format!("a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes: {}", path.display());
        return Err(source.refuse(what, "use a shorter path, or one relative to the working directory"));
    }
    paths::check_folder(path, &source)
}
