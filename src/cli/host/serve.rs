//! `sealroom serve`.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    archives, backups,
    bind::{listen, url},
    certificate,
    checkpoints::{self, CheckpointPlan},
    control, descriptors, dev,
    host_actor::host_actor,
    keeping, log_watch, memory,
    offline::RunClock,
    repeats::ASKED,
    settings::{self, Args, OutgoingPlan, Plan, TlsFiles, check_files, check_listener},
    shutdown::{shut, stop_signal},
    systemd::{self, Passed},
    tracing::Log,
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            output::Output,
            prompt::{self, Asking},
        },
    },
    disk::DataFile,
    domain::{Action, DetailKey, Event},
    http::{Server, Tls},
    vault::{Rollback, Settings, UnlockError, Vault},
};

/// The longest wait for threads that work on files when the server stops.
const THREADS_WAIT: Duration = Duration::from_secs(2);
/// Interval between checks of the free disk space.
const DISK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(args: Args, output: &Output) -> Result<(), CliError> {
    let mut plan = settings::read(&args)?;
    let passed = if args.dev { None } else { systemd::passed_socket()? };
    if let Some(passed) = &passed {
        plan.address = passed.address().map_err(|error| passed_wrong(&error))?;
    }
    check_listener(&plan, args.dev)?;
    if !args.dev {
        check_files(&plan, output)?;
    }
    plan.limits.connections_max = descriptors::provide(plan.limits.connections_max, output);
    let log = Log::start(plan.log_level);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(plan.workers).enable_all().build();
    let runtime = runtime
        .map_err(|error| CliError::failed(format!("no threads: {error}"), "free memory or threads"))?;
    let ended = if args.dev {
        runtime.block_on(dev::serve(plan.address, plan.limits, output))
    } else {
        runtime.block_on(serve(plan, passed, &args, &log, output))
    };
    // The vault is closed by now: a thread that a share holds must not hold the process.
    runtime.shutdown_timeout(THREADS_WAIT);
    ended
}

async fn serve(
    plan: Plan,
    passed: Option<Passed>,
    args: &Args,
    log: &Log,
    output: &Output,
) -> Result<(), CliError> {
    let data = plan.data;
    let tls = plan.tls.as_ref().map(|files| certificate::load(files, output)).transpose()?.map(Arc::new);
    let outgoing = plan.outgoing.map(OutgoingPlan::open).transpose()?;
    let file = Arc::new(DataFile::open(&data, plan.locking)?);
    // Cheap failures come before the key derivation, and before anything is written.
    let listener = match passed {
        Some(passed) => passed.listen(tls.clone()).map_err(|error| passed_wrong(&error))?,
        None => listen(&plan.address, tls.clone()).await?,
    };
    let socket = control::bind(file.path())?;
    // A copy for a client lies on the vault's own disk, which is as private as the vault.
    let scratch = file.path().parent().map(Path::to_owned);
    let keeper = Some(keeping::keeper(file.path(), plan.locking, output));
    let accepts_rollback = args.accept_rollback;
    let settings = Settings { scratch, keeper, outgoing, accepts_rollback, ..plan.settings };
    let vault = Vault::open(file.medium(), settings).map_err(|error| CliError::open(&data, &error))?;
    let vault = Arc::new(vault);
    let rollback = checkpoints::find_rollback(plan.checkpoints.as_ref(), &vault).await;
    let checked = RunClock::check(&vault, args.accept_clock)?;
    let start = checked.event(Action::ServerStart);
    let version = start.detail.clone().text(DetailKey::Version, env!("CARGO_PKG_VERSION"));
    let (clock, start) = (checked.clock, Event { detail: version, ..start });
    measure(&file, &vault);
    let is_given = plan.passphrase.has_source();
    // A pipe may block forever, and there is nothing yet that a signal would have to shut down.
    let early = (is_given && !plan.passphrase.is_asked()).then(|| plan.passphrase.read(Asking::Once, output));
    // Before any prompt: from here on the server handles signals.
    let (stop, hang_up) = (stop_signal()?, hang_up_signal()?);
    prompt::are_handled();
    if is_given {
        let passphrase = early.unwrap_or_else(|| plan.passphrase.read(Asking::Once, output))?;
        memory::check_unlock(&vault, &passphrase)?;
        match vault.unlock(passphrase, host_actor(), clock.now(), Some(start)).await {
            Ok(()) => settle_rollback(rollback, plan.checkpoints.as_ref(), &vault).await,
            // It stays up, locked, so that its health says why.
            Err(error @ UnlockError::RolledBack { .. }) => {
                let CliError { message, hint, .. } = CliError::unlock(&error);
                output.warning(&format!("locked: {message}; {hint}"));
            }
            Err(error) => return Err(CliError::unlock(&error)),
        }
    } else {
        output.warning(&format!("locked: run `sealroom unlock --data {}`", data.display()));
    }
    let control = control::serve(socket, Arc::clone(&vault), Arc::clone(&file), clock.clone());
    let url = url(&listener)?;
    let server = Server::new(Arc::clone(&vault), clock.clone(), plan.limits, plan.edge);
    output.result(&format!("listening on {url}"), &json!({ "url": url }))?;
    systemd::ready();
    let serving = Arc::clone(&server).run(listener, stop);
    tokio::select! {
        () = serving => {}
        () = watch(&file, &vault) => {}
        () = checkpoints::keep(plan.checkpoints.as_ref(), &vault) => {}
        () = log_watch::keep(&vault) => {}
        () = backups::keep(plan.backups.as_ref(), &vault, &clock) => {}
        () = archives::keep(plan.archives.as_ref(), &vault, &clock) => {}
        () = reload(hang_up, args, &server, tls.as_deref(), log, output) => {}
        () = systemd::keep_alive() => {}
    }
    systemd::stopping();
    drop(control);
    shut(&vault, &clock).await;
    if let Some(plan) = &plan.checkpoints {
        checkpoints::write_now(plan, &vault).await;
    }
    file.check().map_err(|displaced| {
        CliError::failed(
            format!("{displaced}: the last acknowledged changes may be in no file that has a name"),
            "restore a backup, or start with the file that `sealroom rescue` wrote",
        )
    })
}

/// Puts the checkpoints aside that an accepted rollback contradicts.
async fn settle_rollback(rollback: Option<Rollback>, plan: Option<&CheckpointPlan>, vault: &Arc<Vault>) {
    let (Some(Rollback { known, held }), Some(plan)) = (rollback, plan) else { return };
    tracing::warn!(target: ASKED, known, held, "an older copy of the file was accepted; the log goes on with a new key");
    let (folder, vault) = (plan.folder.clone(), Arc::clone(vault));
    let settled =
        tokio::task::spawn_blocking(move || checkpoints::settle(&folder, &vault).map_err(|e| e.to_string()));
    if let Ok(Err(error)) = settled.await {
        tracing::error!(error, "the checkpoints of the replaced history were not put aside");
    }
}

fn passed_wrong(error: &std::io::Error) -> CliError {
    CliError::failed(format!("the socket of LISTEN_FDS: {error}"), "check the socket unit")
}

/// Reloads certificate, limits and log level at each SIGHUP; an error in them stops nothing.
async fn reload(
    mut hang_up: Signal,
    args: &Args,
    server: &Server,
    tls: Option<&Tls>,
    log: &Log,
    output: &Output,
) {
    while hang_up.recv().await.is_some() {
        systemd::reloading();
        match settings::read(args) {
            Ok(plan) => {
                server.set_limits(plan.limits);
                log.set_level(plan.log_level);
                tracing::info!("limits and log level reloaded");
                if let (Some(tls), Some(files)) = (tls, &plan.tls) {
                    exchange(tls, files, output);
                }
            }
            Err(error) => {
                tracing::error!(target: ASKED, error = %error.message, hint = %error.hint, "reload failed, settings unchanged");
            }
        }
        systemd::ready();
    }
    std::future::pending::<()>().await;
}

fn exchange(tls: &Tls, files: &TlsFiles, output: &Output) {
    match certificate::replace(tls, files, output) {
        Ok(()) => tracing::info!("certificate reloaded"),
        Err(error) => {
            tracing::error!(target: ASKED, error = %error.message, hint = %error.hint, "reload failed, certificate unchanged");
        }
    }
}

/// Reports the free disk space, and whether the file is in its place, to the vault for as long as it is polled.
async fn watch(file: &Arc<DataFile>, vault: &Arc<Vault>) {
    let mut every = tokio::time::interval(DISK_EVERY);
    loop {
        every.tick().await;
        let (file, vault) = (Arc::clone(file), Arc::clone(vault));
        // A disk that hangs must not hang the server too.
        drop(tokio::task::spawn_blocking(move || measure(&file, &vault)).await);
    }
}

fn measure(file: &DataFile, vault: &Vault) {
    measure_disk(file.path(), vault);
    let found = file.check();
    match (vault.set_file_gone(found.is_err()), found) {
        (false, Err(displaced)) if displaced.is_intact() => tracing::error!(
            target: ASKED,
            "{displaced}: disclosures and changes are refused; put the file back, or save what this \
             server holds: sealroom rescue --data {} --to FILE, or without its socket --pid {}",
            file.path().display(),
            std::process::id()
        ),
        (false, Err(displaced)) => tracing::error!(
            target: ASKED,
            "{displaced}: disclosures and changes are refused; stop the server and restore a backup"
        ),
        (true, Ok(())) => tracing::info!(target: ASKED, "the file is back in place"),
        _ => {}
    }
}

fn measure_disk(data: &Path, vault: &Vault) {
    let was_low = vault.is_disk_low();
    if let Ok(stat) = rustix::fs::statvfs(data) {
        vault.set_free_bytes(stat.f_bavail.saturating_mul(stat.f_frsize));
    }
    match (was_low, vault.is_disk_low()) {
        (false, true) => tracing::error!("the disk is almost full: additions and disclosures are refused"),
        (true, false) => tracing::info!("the disk has enough free space again"),
        _ => {}
    }
}

fn hang_up_signal() -> Result<Signal, CliError> {
    signal(SignalKind::hangup())
        .map_err(|error| CliError::failed(format!("no signals: {error}"), "try again"))
}
