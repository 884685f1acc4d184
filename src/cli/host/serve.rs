//! `sealroom serve`.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    archives, backups,
    bind::{bind, no_listener, url},
    certificate,
    checkpoints::{self, CheckpointPlan},
    clock_watch, control, cosigning, descriptors, dev,
    host_actor::host_actor,
    keeping, log_watch, memory, notify,
    offline::RunClock,
    repeats::ASKED,
    runtime::{THREADS_WAIT, runtime},
    sandbox::{Access, Outgoing, Rules, Sandbox},
    settings::{self, Address, Args, OutgoingPlan, Plan, TlsFiles, check_files, check_listener},
    shutdown::{shut, stop_signal},
    systemd::{self, Passed},
    tracing::Log,
    witness,
};
use crate::{
    cli::{
        error::CliError,
        terminal::{
            output::Output,
            prompt::{self, Asking},
        },
    },
    crypto::stack::leaving_nothing_async,
    disk::{DataFile, Displaced},
    domain::{Action, DetailKey, Event},
    http::{Bound, Server, Tls},
    vault::{Rollback, Settings, UnlockError, Vault},
};

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
    if args.dev {
        return dev::run(&plan, args.tls, output);
    }
    // Before anything secret is read: the helper process must never have it.
    let hook = plan.notify.command.as_deref().map(notify::Hook::start).transpose()?;
    let started = Started::new(&mut plan, passed, hook, output)?;
    // Before the log's threads and the runtime's: a thread has the rights of the one that starts it.
    let sandbox = plan.sandbox.then(|| Sandbox::enter(&rules(&plan, &started, output)));
    let log = Log::start(plan.log_level);
    Sandbox::tell(sandbox.as_ref());
    let runtime = runtime(&plan)?;
    let ended = runtime.block_on(leaving_nothing_async(serve(plan, started, &args, &log, output)));
    // The vault is closed by now: a thread that a share holds must not hold the process.
    runtime.shutdown_timeout(THREADS_WAIT);
    ended
}

/// The files and sockets that a server opens before it drops its rights. Cheap failures come before the key derivation, and before anything
/// is written.
struct Started {
    tls: Option<Arc<Tls>>,
    outgoing: Option<Arc<crate::outgoing::Outgoing>>,
    targets: notify::Targets,
    file: Arc<DataFile>,
    listener: Bound,
    control: Bound,
}

impl Started {
    fn new(
        plan: &mut Plan,
        passed: Option<Passed>,
        hook: Option<notify::Hook>,
        output: &Output,
    ) -> Result<Self, CliError> {
        let tls = plan.tls.as_ref().map(|files| certificate::load(files, output)).transpose()?;
        let outgoing = plan.outgoing.take().map(OutgoingPlan::open).transpose()?;
        let targets = notify::Targets { webhook: plan.notify.webhook(outgoing.as_ref(), output)?, hook };
        cosigning::check(plan.cosign.as_ref(), outgoing.as_deref())?;
        let file = DataFile::open(&plan.data, plan.locking)?;
        let listener = match passed {
            Some(passed) => passed.bound().map_err(|error| passed_wrong(&error))?,
            None => bind(&plan.address)?,
        };
        let control = control::bind(file.path())?;
        Ok(Self { tls: tls.map(Arc::new), outgoing, targets, file: Arc::new(file), listener, control })
    }
}

/// Returns the files that a server opens later.
fn rules(plan: &Plan, started: &Started, output: &Output) -> Rules {
    let outgoing = started.outgoing.as_ref().map_or(Outgoing::Refused, |_| Outgoing::Allowed);
    let mut rules = Rules::new(outgoing);
    let vault = started.file.path().parent();
    let checkpoints = plan.checkpoints.as_ref().map(|plan| &*plan.folder);
    let backups = plan.backups.as_ref().map(|plan| &*plan.folder);
    let archives = plan.archives.as_ref().map(|plan| &*plan.folder);
    for folder in [vault, checkpoints, backups, archives].into_iter().flatten() {
        if !rules.write(folder) {
            // The log has not begun: its threads start inside the sandbox.
            output.warning(&format!(
                "{} does not exist: it stays closed to the server until a start with it",
                folder.display()
            ));
        }
    }
    let tls = plan.tls.iter().flat_map(|files| [&*files.cert, &*files.key]);
    plan.config.as_deref().into_iter().chain(tls).for_each(|path| rules.read(path));
    plan.cosign.iter().for_each(|cosign| rules.read(&cosign.path));
    if let Some(passphrase) = &plan.passphrase.passphrase_file {
        rules.add(passphrase, Access::Read);
    }
    if let Address::Unix(path) = &plan.address
        && let Ok(path) = std::path::absolute(path)
        && let Some(folder) = path.parent()
    {
        rules.add(folder, Access::Remove);
    }
    rules
}

async fn serve(
    plan: Plan,
    started: Started,
    args: &Args,
    log: &Log,
    output: &Output,
) -> Result<(), CliError> {
    let data = plan.data;
    let Started { tls, file, outgoing, targets, listener, control } = started;
    let listener = listener.listen(tls.clone()).map_err(|error| no_listener(&error))?;
    let socket = control.listen(None).map_err(|error| no_listener(&error))?;
    // A copy for a client lies on the vault's own disk, which is as private as the vault.
    let scratch = file.path().parent().map(Path::to_owned);
    let keeper = Some(keeping::keeper(file.path(), plan.locking, output));
    let accepts_rollback = args.accept_rollback;
    tell_otp(&plan.settings);
    let witness = witness::open(file.path(), plan.witness)?;
    let calls = outgoing.clone();
    let settings = Settings { scratch, keeper, outgoing, accepts_rollback, witness, ..plan.settings };
    let vault = Vault::open(file.medium(), settings).map_err(|error| CliError::open(&data, &error))?;
    let vault = Arc::new(vault);
    vault.check_witness().map_err(|error| witness::failed(&error))?;
    checkpoints::find_rollback(plan.checkpoints.as_ref(), &vault).await;
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
        let unlocked = vault.unlock(passphrase, host_actor(), clock.now(), Some(start)).await;
        settle(unlocked, plan.checkpoints.as_ref(), &vault).await?;
    } else if vault.rolled_back().is_none() {
        output.warning(&format!("locked: run `sealroom unlock --data {}`", data.display()));
    }
    warn_of_rollback(&vault, output);
    let checkpoints = plan.checkpoints.clone().map(Arc::new);
    let control = control::serve(socket, Arc::clone(&vault), Arc::clone(&file), clock.clone(), checkpoints);
    let url = url(&listener)?;
    let server = Server::new(Arc::clone(&vault), clock.clone(), plan.limits, plan.edge);
    let certificate = certificate::keep(tls.as_deref(), plan.tls.as_ref());
    output.result(&format!("listening on {url}"), &json!({ "url": url }))?;
    tell_start(&data, &url, &vault, &plan.told);
    let serving = Arc::clone(&server).run(listener, told_to_systemd(stop));
    tokio::select! {
        () = serving => {}
        () = watch(&file, &vault) => {}
        () = checkpoints::keep(plan.checkpoints.as_ref(), &vault) => {}
        () = cosigning::keep(plan.cosign.as_ref(), plan.checkpoints.as_ref(), calls.as_ref(), &vault, &clock) => {}
        () = log_watch::keep(&vault) => {}
        () = witness::keep(&vault) => {}
        () = clock_watch::keep(&clock) => {}
        () = notify::keep(targets, &vault, &clock) => {}
        () = backups::keep(plan.backups.as_ref(), &vault, &clock) => {}
        () = archives::keep(plan.archives.as_ref(), plan.checkpoints.as_ref(), &vault, &clock) => {}
        () = reload(hang_up, args, &server, tls.as_deref(), log, output) => {}
        () = certificate => {}
        () = systemd::keep(&server) => {}
    }
    systemd::stopping();
    tracing::info!("stopping");
    drop(control);
    shut(&vault, &clock).await;
    if let Some(plan) = &plan.checkpoints {
        checkpoints::write_now(plan, &vault).await;
    }
    tracing::info!("stopped");
    file.check().map_err(|displaced| lost(&displaced))
}

/// Tells systemd of the stop before the drain, during which nobody answers its watchdog.
async fn told_to_systemd(stop: impl Future<Output = ()>) {
    stop.await;
    systemd::stopping();
}

fn lost(displaced: &Displaced) -> CliError {
    CliError::failed(
        format!("{displaced}: the last acknowledged changes may be in no file that has a name"),
        "restore a backup, or start with the file that `sealroom rescue` wrote",
    )
}

fn tell_otp(settings: &Settings) {
    if settings.owners_need_otp {
        tracing::info!("owners need a second factor: one without it may only set one (owners_need_otp)");
    }
}

/// Goes on after the unlock at a start. A file that was rolled back stays locked and served, so that its health says why.
async fn settle(
    unlocked: Result<(), UnlockError>,
    checkpoints: Option<&CheckpointPlan>,
    vault: &Arc<Vault>,
) -> Result<(), CliError> {
    match unlocked {
        Ok(()) => {
            checkpoints::settle_accepted(checkpoints, vault).await;
            Ok(())
        }
        Err(UnlockError::RolledBack { .. }) => Ok(()),
        Err(error) => Err(CliError::unlock(&error)),
    }
}

fn warn_of_rollback(vault: &Vault, output: &Output) {
    let Some(Rollback { known, held }) = vault.rolled_back() else { return };
    let CliError { message, hint, .. } = CliError::unlock(&UnlockError::RolledBack { known, held });
    output.warning(&format!("locked: {message}; {hint}"));
}

fn tell_start(data: &Path, url: &str, vault: &Vault, told: &[String]) {
    let (version, locked) = (env!("CARGO_PKG_VERSION"), vault.is_locked());
    tracing::info!(version, data = %data.display(), url, locked, "started");
    tell_settings(told);
}

/// Logs the settings that differ from the defaults.
fn tell_settings(told: &[String]) {
    let told = if told.is_empty() { "the defaults".to_owned() } else { told.join(", ") };
    tracing::info!("settings: {told}");
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
                tell_settings(&plan.told);
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
             server holds: sealroom rescue --data {} --to FILE, or, without its socket and as root, --pid {}",
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
        (false, true) => tracing::error!(
            free_bytes = vault.free_bytes(),
            hint = "free space there; `sealroom audit archive` moves old events to a file, and disk_low_bytes is the limit",
            "the disk of the vault file is almost full: additions and disclosures are refused"
        ),
        (true, false) => tracing::info!("the disk has enough free space again"),
        _ => {}
    }
}

fn hang_up_signal() -> Result<Signal, CliError> {
    signal(SignalKind::hangup())
        .map_err(|error| CliError::failed(format!("no signals: {error}"), "try again"))
}
