//! Settings in effect, and the source of each.

use std::{ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use super::{
    address::{self, Address},
    args::{Args, Tuning},
    notify::{self, NotifyPlan},
    outgoing::{self, OutgoingPlan},
    sources::{Sources, bounded, check_path, size},
    told::told,
    witness,
};
use crate::{
    audit::checkpoint::VerifierKey,
    cli::{
        config,
        error::CliError,
        host::{
            archives::ArchivePlan, backups::BackupPlan, checkpoints::CheckpointPlan, cosigning::CosignPlan,
            host_actor::host_actor, passphrase::PassphraseArgs,
        },
        source::Source,
    },
    clock,
    config::{FileArchive, FileBackup, FileCheckpoint, FileLimits, default},
    disk::Locking,
    domain::{Invalid, NewMembersSee, days},
    http::{Edge, Limits},
    vault::{CallerLimits, Settings},
};

/// The settings, merged from flags, environment, file and defaults.
pub(in crate::cli::host) struct Plan {
    pub(in crate::cli::host) data: PathBuf,
    /// The config file, which a SIGHUP reads again.
    pub(in crate::cli::host) config: Option<PathBuf>,
    pub(in crate::cli::host) address: Address,
    pub(in crate::cli::host) behind_tls_proxy: bool,
    pub(in crate::cli::host) edge: Edge,
    /// True where a setting names the proxies.
    pub(super) names_proxies: bool,
    pub(in crate::cli::host) tls: Option<TlsFiles>,
    pub(in crate::cli::host) passphrase: PassphraseArgs,
    pub(in crate::cli::host) checkpoints: Option<CheckpointPlan>,
    pub(in crate::cli::host) backups: Option<BackupPlan>,
    pub(in crate::cli::host) archives: Option<ArchivePlan>,
    pub(in crate::cli::host) outgoing: Option<OutgoingPlan>,
    pub(in crate::cli::host) notify: NotifyPlan,
    /// The logs whose checkpoints are cosigned; none is no witness.
    pub(in crate::cli::host) witness: Vec<VerifierKey>,
    /// The witnesses of this vault's own checkpoints.
    pub(in crate::cli::host) cosign: Option<CosignPlan>,
    pub(in crate::cli::host) workers: usize,
    pub(in crate::cli::host) limits: Limits,
    pub(in crate::cli::host) locking: Locking,
    pub(in crate::cli::host) settings: Settings,
    /// Drops rights before the first connection.
    pub(in crate::cli::host) sandbox: bool,
    pub(in crate::cli::host) log_level: tracing::Level,
    /// The settings that differ from the defaults, for the log.
    pub(in crate::cli::host) told: Vec<String>,
    pub(super) sources: Sources,
}

/// The paths of certificate and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli::host) struct TlsFiles {
    pub(in crate::cli::host) cert: PathBuf,
    pub(in crate::cli::host) key: PathBuf,
}

/// Reads the settings. Consumes none of the arguments, so that a SIGHUP can read them again.
///
/// # Errors
/// The config file cannot be read, or a value is out of bounds.
pub(in crate::cli::host) fn read(args: &Args) -> Result<Plan, CliError> {
    let file = config::read(args.config.as_deref(), &args.given)?;
    let of_data = args.config.as_deref().filter(|_| file.data.is_some());
    let of_data = args.given.source("data", "data", of_data);
    let sources = Sources { given: args.given.clone(), file: args.config.clone(), data: of_data };
    let tuning = args.tuning.clone();
    let mut passphrase = args.passphrase.clone();
    check_path(file.passphrase_file.as_deref(), &sources.of_top("passphrase_file"))?;
    passphrase.fall_back(file.passphrase_file);
    let data = args.data.clone().or(file.data).unwrap_or_else(|| default::DATA.into());
    check_path(Some(&data), &sources.data)?;
    let listen = args.listen.clone().or(file.listen).unwrap_or_else(|| default::LISTEN.to_owned());
    let tls = (args.tls_cert.clone().or(file.tls_cert), args.tls_key.clone().or(file.tls_key));
    let workers = workers(tuning.worker_threads.or(file.worker_threads), &sources)?;
    let level = tuning.log_level.clone().or(file.log_level).unwrap_or_else(|| default::LOG_LEVEL.to_owned());
    let see = tuning.new_members_see.clone().or(file.new_members_see);
    let limits = &file.limits;
    let queue_max = tuning.queue_max.or(limits.queue_max).unwrap_or(default::QUEUE_MAX);
    let cache_bytes = tuning.cache_bytes.or(file.cache_bytes).unwrap_or(default::CACHE_BYTES);
    let is_unlocked = tuning.without_file_lock.or(file.without_file_lock).unwrap_or(false);
    let locking = if is_unlocked { Locking::Waived } else { Locking::Required };
    let behind_tls_proxy = args.behind_tls_proxy.or(file.behind_tls_proxy).unwrap_or(false);
    let proxies = args.trusted_proxies.clone().or(file.trusted_proxies);
    let names = args.host_names.clone().or(file.host_names);
    let checkpoints = checkpoint_plan(args, &file.checkpoint, &sources)?;
    let outgoing = outgoing::read(file.outgoing, &sources)?;
    let is_possible = (checkpoints.is_some(), outgoing.is_some());
    let cosign = witness::read_policy(file.witness.policy, is_possible, &sources)?;
    Ok(Plan {
        tls: tls_files(tls, &sources)?,
        passphrase,
        checkpoints,
        backups: backup_plan(args, &file.backup, locking, &sources)?,
        archives: archive_plan(args, &file.archive, &sources)?,
        outgoing,
        notify: notify::read(file.notify, &sources)?,
        witness: witness::read(args.witness_for.clone().or(file.witness.logs), &sources)?,
        cosign,
        data,
        config: args.config.clone(),
        address: address::parse(&listen, &sources.of_top("listen"))?,
        behind_tls_proxy,
        edge: edge(behind_tls_proxy, proxies.as_deref(), names.as_deref(), &sources)?,
        names_proxies: proxies.is_some(),
        workers,
        limits: client_limits(&tuning, limits, &sources)?,
        locking,
        sandbox: tuning.sandbox.or(file.sandbox).unwrap_or(true),
        settings: Settings {
            members_may_create: tuning.members_may_create.or(file.members_may_create).unwrap_or(true),
            members_may_shadow: tuning.members_may_shadow.or(file.members_may_shadow).unwrap_or(true),
            owners_need_otp: tuning.owners_need_otp.or(file.owners_need_otp).unwrap_or(false),
            new_members_see: new_members_see(see.as_deref(), &sources)?,
            queue_max: size(&sources.of("queue_max", "limits.queue_max"), queue_max, 1..=u32::MAX)?,
            callers: caller_limits(&tuning, limits, &sources)?,
            passwords_waiting: size(
                &sources.of("passwords_waiting_max", "limits.passwords_waiting_max"),
                tuning
                    .passwords_waiting_max
                    .or(limits.passwords_waiting_max)
                    .unwrap_or(default::PASSWORDS_WAITING_MAX),
                1..=u32::MAX,
            )?,
            cache_bytes: size(&sources.of_top("cache_bytes"), cache_bytes, CACHE_BYTES)?,
            disk_low_bytes: tuning.disk_low_bytes.or(file.disk_low_bytes).unwrap_or(default::DISK_LOW_BYTES),
            ..Settings::new(host_actor(), clock::monotonic)
        },
        log_level: log_level(&level, &sources)?,
        told: told(args),
        sources,
    })
}

/// Returns the number of serving threads: one core is left to the commit thread.
fn workers(set: Option<u16>, sources: &Sources) -> Result<usize, CliError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(match set {
        Some(set) => bounded(&sources.of_top("worker_threads"), set, 1..=u16::MAX)?.into(),
        None => cores.saturating_sub(1).max(1),
    })
}

fn log_level(level: &str, sources: &Sources) -> Result<tracing::Level, CliError> {
    level.parse().map_err(|_| {
        let what = format!("'{}' is not a log level", level.escape_debug());
        sources.of_top("log_level").refuse(what, "use error, warn, info, debug or trace")
    })
}

fn new_members_see(set: Option<&str>, sources: &Sources) -> Result<NewMembersSee, CliError> {
    let text = set.unwrap_or(default::NEW_MEMBERS_SEE);
    text.parse().map_err(|_| {
        let what = format!("'{}' is neither all nor none", text.escape_debug());
        sources.of_top("new_members_see").refuse(what, "use all or none")
    })
}

/// Bounds of the engine's cache, as in `config.example.toml`.
const CACHE_BYTES: RangeInclusive<u32> = 1 << 20..=1 << 30;

fn edge(
    behind_tls_proxy: bool,
    proxies: Option<&[String]>,
    names: Option<&[String]>,
    sources: &Sources,
) -> Result<Edge, CliError> {
    let mut edge = Edge::from(behind_tls_proxy);
    if let Some(proxies) = proxies {
        if !behind_tls_proxy {
            return Err(sources.of_top("trusted_proxies").refuse(
                "no proxy is heard without --behind-tls-proxy",
                "add --behind-tls-proxy, or omit it",
            ));
        }
        edge.trusted_proxies = list(proxies, &sources.of_top("trusted_proxies"))?;
    }
    edge.host_names = list(names.unwrap_or_default(), &sources.of_top("host_names"))?;
    Ok(edge)
}

fn list<T: FromStr<Err = Invalid>>(texts: &[String], source: &Source) -> Result<Vec<T>, CliError> {
    let refuse = |text: &str, error: Invalid| {
        source.refuse(
            format!("'{}' is not a {}", text.escape_debug(), error.what),
            format!("use {}", error.rule),
        )
    };
    texts.iter().map(|text| text.trim().parse().map_err(|error| refuse(text, error))).collect()
}

fn checkpoint_plan(
    args: &Args,
    file: &FileCheckpoint,
    sources: &Sources,
) -> Result<Option<CheckpointPlan>, CliError> {
    let every = args.checkpoint_every_secs.or(file.every_secs).unwrap_or(default::CHECKPOINT_EVERY_SECS);
    let of_every = sources.of("checkpoint_every_secs", "checkpoint.every_secs");
    let every = Duration::from_secs(bounded(&of_every, every, 1..=u32::MAX)?.into());
    let Some(folder) = args.checkpoint_folder.clone().or_else(|| file.folder.clone()) else {
        return Ok(None);
    };
    check_path(Some(&folder), &sources.of("checkpoint_folder", "checkpoint.folder"))?;
    Ok(Some(CheckpointPlan { folder, every }))
}

fn backup_plan(
    args: &Args,
    file: &FileBackup,
    locking: Locking,
    sources: &Sources,
) -> Result<Option<BackupPlan>, CliError> {
    let every = args.backup_every_secs.or(file.every_secs).unwrap_or(default::BACKUP_EVERY_SECS);
    let every = bounded(&sources.of("backup_every_secs", "backup.every_secs"), every, 1..=u32::MAX)?;
    let keep = args.backup_keep.or(file.keep).unwrap_or(default::BACKUP_KEEP);
    let keep = bounded(&sources.of("backup_keep", "backup.keep"), keep, 1..=u16::MAX)?;
    let Some(folder) = args.backup_folder.clone().or_else(|| file.folder.clone()) else { return Ok(None) };
    check_path(Some(&folder), &sources.of("backup_folder", "backup.folder"))?;
    Ok(Some(BackupPlan { folder, every: Duration::from_secs(every.into()), keep: keep.into(), locking }))
}

fn archive_plan(args: &Args, file: &FileArchive, sources: &Sources) -> Result<Option<ArchivePlan>, CliError> {
    let kept = args.archive_keep_days.or(file.keep_days).unwrap_or(default::ARCHIVE_KEEP_DAYS);
    let kept = bounded(&sources.of("archive_keep_days", "archive.keep_days"), kept, 1..=u16::MAX)?;
    let Some(folder) = args.archive_folder.clone().or_else(|| file.folder.clone()) else { return Ok(None) };
    check_path(Some(&folder), &sources.of("archive_folder", "archive.folder"))?;
    Ok(Some(ArchivePlan { folder, keep: days(kept.into()) }))
}

fn tls_files(
    (cert, key): (Option<PathBuf>, Option<PathBuf>),
    sources: &Sources,
) -> Result<Option<TlsFiles>, CliError> {
    let (of_cert, of_key) = (sources.of_top("tls_cert"), sources.of_top("tls_key"));
    check_path(cert.as_deref(), &of_cert)?;
    check_path(key.as_deref(), &of_key)?;
    let half = |source: Source, missing| {
        CliError::usage(format!("{source} without {missing}"), "give certificate and key, or neither")
    };
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, Some(_)) => Err(half(of_key, "--tls-cert, SEALROOM_TLS_CERT or tls_cert")),
        (Some(_), None) => Err(half(of_cert, "--tls-key, SEALROOM_TLS_KEY or tls_key")),
    }
}

fn client_limits(flags: &Tuning, file: &FileLimits, sources: &Sources) -> Result<Limits, CliError> {
    let seconds = |id, key, flag: Option<u16>, file: Option<u16>, default| {
        let set = bounded(&sources.of(id, key), flag.or(file).unwrap_or(default), 1..=u16::MAX)?;
        Ok::<_, CliError>(Duration::from_secs(set.into()))
    };
    let number = |id, key, flag: Option<u32>, file: Option<u32>, default, least| {
        size(&sources.of(id, key), flag.or(file).unwrap_or(default), least..=u32::MAX)
    };
    Ok(Limits {
        body_bytes_max: number(
            "body_bytes_max",
            "limits.body_bytes_max",
            flags.body_bytes_max,
            file.body_bytes_max,
            default::BODY_BYTES_MAX,
            1024,
        )?,
        header_bytes_max: number(
            "header_bytes_max",
            "limits.header_bytes_max",
            flags.header_bytes_max,
            file.header_bytes_max,
            default::HEADER_BYTES_MAX,
            8192,
        )?,
        header_timeout: seconds(
            "header_timeout_secs",
            "limits.header_timeout_secs",
            flags.header_timeout_secs,
            file.header_timeout_secs,
            default::HEADER_TIMEOUT_SECS,
        )?,
        request_timeout: seconds(
            "request_timeout_secs",
            "limits.request_timeout_secs",
            flags.request_timeout_secs,
            file.request_timeout_secs,
            default::REQUEST_TIMEOUT_SECS,
        )?,
        stall_timeout: seconds(
            "stall_timeout_secs",
            "limits.stall_timeout_secs",
            flags.stall_timeout_secs,
            file.stall_timeout_secs,
            default::STALL_TIMEOUT_SECS,
        )?,
        connections_max: number(
            "connections_max",
            "limits.connections_max",
            flags.connections_max,
            file.connections_max,
            default::CONNECTIONS_MAX,
            1,
        )?,
    })
}

/// The least bytes of answers: one credential has to fit.
const ANSWER_BYTES_MIN: u32 = 1 << 20;

fn caller_limits(flags: &Tuning, file: &FileLimits, sources: &Sources) -> Result<CallerLimits, CliError> {
    let one = flags.answer_bytes_max.or(file.answer_bytes_max).unwrap_or(default::ANSWER_BYTES_MAX);
    let all = flags.answers_bytes_max.or(file.answers_bytes_max).unwrap_or(default::ANSWERS_BYTES_MAX);
    let count = flags.disclosures_per_minute_max.or(file.disclosures_per_minute_max);
    let of_count = sources.of("disclosures_per_minute_max", "limits.disclosures_per_minute_max");
    let count = count.unwrap_or(default::DISCLOSURES_PER_MINUTE_MAX);
    let writes = flags.writes_per_minute_max.or(file.writes_per_minute_max);
    let of_writes = sources.of("writes_per_minute_max", "limits.writes_per_minute_max");
    let writes = writes.unwrap_or(default::WRITES_PER_MINUTE_MAX);
    Ok(CallerLimits {
        answer_bytes: size(
            &sources.of("answer_bytes_max", "limits.answer_bytes_max"),
            one,
            ANSWER_BYTES_MIN..=u32::MAX,
        )?,
        // One caller gets a quarter, in which one whole answer has to fit.
        answers_bytes: size(
            &sources.of("answers_bytes_max", "limits.answers_bytes_max"),
            all,
            one.saturating_mul(4)..=u32::MAX,
        )?,
        disclosures_per_minute: bounded(&of_count, count, 1..=u32::MAX)?.into(),
        writes_per_minute: bounded(&of_writes, writes, 1..=u32::MAX)?.into(),
    })
}
