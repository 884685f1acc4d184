//! Checks of the settings before the vault file is opened: a mistake must not cost a key derivation or a record.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{address::Address, plan::Plan};
use crate::cli::{
    error::{CliError, NO_FILE},
    paths,
    source::Source,
    terminal::output::Output,
};

/// Maximum length of a socket's path on Linux: `sun_path` has 108 bytes, one of them the terminating NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The owner of a file whose own one a user namespace does not map.
const UNMAPPED: u32 = 65_534;

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

/// A client that reaches such a listener past the proxy would choose the address that it is known by.
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
                NO_FILE,
            ));
        }
        Ok(_) | Err(_) => {}
    }
    check_writers(&plan.data, source)?;
    if let Some(config) = &plan.config {
        check_writers(config, &plan.sources.of_top("config"))?;
    }
    if let Address::Unix(path) = &plan.address {
        check_socket(path, plan)?;
    }
    let checkpoints = plan.checkpoints.as_ref().map(|plan| &*plan.folder);
    let backups = plan.backups.as_ref().map(|plan| &*plan.folder);
    let archives = plan.archives.as_ref().map(|plan| &*plan.folder);
    for (folder, name, key, lack) in [
        (checkpoints, "checkpoint_folder", "checkpoint.folder", "no checkpoint is written"),
        (backups, "backup_folder", "backup.folder", "no backup is made"),
        (archives, "archive_folder", "archive.folder", "no event is archived"),
    ] {
        // A share may be mounted later; the vault is needed now.
        let Some(folder) = folder.filter(|folder| !folder.is_dir()) else { continue };
        let (source, folder) = (plan.sources.of(name, key), folder.display());
        output.warning(&format!("{source}: {folder} is not a folder: {lack} until it is one"));
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

/// Checks that nobody but this user and root writes a file that the server trusts, or replaces it in its folder.
fn check_writers(path: &Path, source: &Source) -> Result<(), CliError> {
    let Ok(file) = fs::metadata(path) else { return Ok(()) };
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let shown = path.display();
    let own = rustix::process::geteuid().as_raw();
    if ![own, 0].contains(&file.uid()) && (file.uid() != UNMAPPED || !is_in_user_namespace()) {
        return Err(CliError::failed(
            format!("{source}: {shown} belongs to uid {}, who can change it", file.uid()),
            format!("chown {own} {shown}, or run the server as that user"),
        ));
    }
    if others_write(&file) {
        return Err(CliError::failed(
            format!("{source}: {shown} can be written by others (mode {:04o})", file.mode() & 0o7777),
            format!("chmod go-w {shown}"),
        ));
    }
    let Ok(holder) = fs::metadata(folder) else { return Ok(()) };
    if others_write(&holder) && holder.mode() & 0o1000 == 0 {
        return Err(CliError::failed(
            format!(
                "{source}: others can replace {shown}: its folder has mode {:04o}",
                holder.mode() & 0o7777
            ),
            format!("chmod o-w {}", folder.display()),
        ));
    }
    Ok(())
}

/// Returns whether everybody may write, or a group that this process is not in. A group of its own is how Kubernetes'
/// `fsGroup` shares a volume.
pub(in crate::cli::host) fn others_write(file: &fs::Metadata) -> bool {
    let is_own = |gid: u32| {
        let mut groups =
            rustix::process::getgroups().unwrap_or_default().into_iter().map(rustix::process::Gid::as_raw);
        gid == 0 || gid == rustix::process::getegid().as_raw() || groups.any(|group| group == gid)
    };
    file.mode() & 0o002 != 0 || (file.mode() & 0o020 != 0 && !is_own(file.gid()))
}

/// Returns whether this process is in a user namespace (`user_namespaces(7)`), where a file of root's may show another
/// owner.
fn is_in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let first = map.split_whitespace().collect::<Vec<_>>();
    !first.is_empty() && first != ["0", "0", "4294967295"]
}
