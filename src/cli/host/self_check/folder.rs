//! Checks of the folder that holds the vault, or will: it takes files of this user's, locks them, and syncs them.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::StatVfsMountFlags;

use crate::{
    cli::{
        host::{host_actor::host_actor, settings::others_write},
        secrets::cause,
    },
    clock::monotonic,
    config::default,
    disk::{beside, rename_new},
    storage::{Check, Status},
};

/// The beginning of the names of the files that the checks make, and remove.
const PREFIX: &str = ".sealroom-self-check-";
/// The number of syncs that are timed.
const SYNCS: usize = 16;
/// The median of a sync from which on a disk is slow: each disclosure waits for one.
const SLOW: Duration = Duration::from_millis(50);

/// File systems by the number that statfs(2) gives, and why a vault does not belong there.
const KINDS: &[(u64, &str, Option<&str>)] = &[
    (0xef53, "ext4", None),
    (0x5846_5342, "xfs", None),
    (0x9123_683e, "btrfs", None),
    (0x2fc1_2fc1, "zfs", None),
    (0xf2f5_2010, "f2fs", None),
    (0x0102_1994, "tmpfs", Some("it is memory: the vault goes with the next restart")),
    (0x8584_58f6, "ramfs", Some("it is memory: the vault goes with the next restart")),
    (0x794c_7630, "overlayfs", Some("a container's own layer goes with the container: mount a volume")),
    (0x6969, "nfs", Some("a share: another host may write to the vault while it is served")),
    (0xff53_4d42, "cifs", Some("a share: another host may write to the vault while it is served")),
    (0xfe53_4d42, "smb2", Some("a share: another host may write to the vault while it is served")),
    (0x0102_1997, "9p", Some("a share: another host may write to the vault while it is served")),
    (0x6573_5546, "fuse", Some("its locks and syncs are those of the program behind it")),
];

/// Runs the checks; those that need a file are skipped where none can be made.
pub(super) fn folder_checks(folder: &Path) -> Vec<Check> {
    let (check, file) = match probe(folder) {
        Ok(file) => (Check::new("folder", Status::Ok, place(folder)), Some(file)),
        Err(check) => (check, None),
    };
    let Some(file) = file else {
        let skipped = |name| Check::skipped(name, "no file can be made in the folder");
        let rest = ["file system", "names", "locks", "syncs", "space"].map(skipped);
        return std::iter::once(check).chain(rest).collect();
    };
    let names = names(file.path(), folder);
    vec![check, file_system(folder), names, locks(file.path()), syncs(file, folder), space(folder)]
}

/// Makes a temporary file, as `init` does.
fn probe(folder: &Path) -> Result<tempfile::NamedTempFile, Check> {
    let shown = folder.display();
    let failed = |what: String| Check::new("folder", Status::Failed, what);
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => return Err(failed(format!("{shown} is not a folder"))),
        Ok(found) if others_write(&found) && found.mode() & 0o1000 == 0 => {
            return Err(failed(format!(
                "{shown} has mode {:04o}: others can replace the vault, and `serve` refuses it; chmod go-w {shown}",
                found.mode() & 0o7777
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message =
                format!("{shown} does not exist: create it with mode 0700, or mount its volume first");
            return Err(failed(message));
        }
        Ok(_) | Err(_) => {}
    }
    tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder).map_err(|error| {
        if is_read_only(folder) || error.kind() == io::ErrorKind::ReadOnlyFilesystem {
            return failed(format!(
                "{shown} is on a read-only file system ({}): remount it writable",
                mount(folder)
            ));
        }
        failed(format!(
            "{} cannot make a file in {shown}: {}; chown it to the user that serves the vault",
            host_actor().to_string().trim_start_matches("host:"),
            cause(&error)
        ))
    })
}

fn is_read_only(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Describes where the folder is: an operator sees there that a volume is not mounted.
fn place(folder: &Path) -> String {
    format!("{}, on the file system mounted at {}", folder.display(), mount(folder))
}

/// Returns the mount point of the folder (proc(5), `/proc/PID/mountinfo`).
fn mount(folder: &Path) -> String {
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let own = points.filter(|point| real.starts_with(point)).max_by_key(|point| point.as_os_str().len());
    own.map_or_else(
        || "a place that the system does not name".to_owned(),
        |point| point.display().to_string(),
    )
}

fn file_system(folder: &Path) -> Check {
    let Some(kind) = kind(folder) else { return Check::skipped("file system", "the system does not say") };
    match KINDS.iter().find(|(number, ..)| *number == kind) {
        Some((_, name, None)) => Check::new("file system", Status::Ok, *name),
        Some((_, name, Some(why))) => Check::new("file system", Status::Warning, format!("{name}: {why}")),
        None => Check::new("file system", Status::Ok, format!("of another kind (0x{kind:x})")),
    }
}

#[cfg(target_os = "linux")]
#[allow(clippy::useless_conversion, reason = "the number is as wide as a word of the system")]
fn kind(folder: &Path) -> Option<u64> {
    let number = i64::from(rustix::fs::statfs(folder).ok()?.f_type);
    // The numbers have 32 bits; a system whose words are that short extends their sign.
    Some(number.cast_unsigned() & 0xffff_ffff)
}

#[cfg(not(target_os = "linux"))]
const fn kind(_: &Path) -> Option<u64> {
    None
}

/// Gives a file its name as a new vault, a backup and a restored file get theirs, and tries to replace another one so.
fn names(other: &Path, folder: &Path) -> Check {
    let failed = |what: String| Check::new("names", Status::Failed, what);
    let tried = || -> io::Result<bool> {
        let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
        let replaces = match rename_new(file.path(), other) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
            Ok(()) => true,
        };
        let named = beside(file.path(), "-named");
        if !replaces {
            rename_new(file.path(), &named)?;
            fs::remove_file(&named)?;
        }
        Ok(replaces)
    };
    match tried() {
        Ok(false) => Check::new("names", Status::Ok, "a new file gets its name and replaces no other file"),
        Ok(true) => failed("a new file replaces another one: use another file system".to_owned()),
        Err(error) => {
            failed(format!("a new file cannot get its name: {}; use another file system", cause(&error)))
        }
    }
}

/// Takes the lock that keeps a second server out, and tries it from another description of the file.
fn locks(path: &Path) -> Check {
    let failed = |what: String| {
        Check::new("locks", Status::Failed, format!("{what}: keep the vault on a file system that has locks"))
    };
    let tried = || -> io::Result<Result<(), TryLockError>> {
        let (first, second) = (File::open(path)?, File::open(path)?);
        match first.try_lock() {
            Ok(()) => Ok(second.try_lock()),
            Err(TryLockError::Error(error)) => Err(error),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        }
    };
    match tried() {
        Ok(Err(TryLockError::WouldBlock)) => Check::new("locks", Status::Ok, "a second server is kept out"),
        Ok(Ok(())) => failed("two processes can lock one file at the same time".to_owned()),
        Ok(Err(TryLockError::Error(error))) | Err(error) => failed(format!("no file can be locked: {error}")),
    }
}

/// Times syncs of a page, and reads back what was written.
fn syncs(mut probe: tempfile::NamedTempFile, folder: &Path) -> Check {
    let mut times = Vec::with_capacity(SYNCS);
    let mut write = || -> io::Result<bool> {
        let page = [0x5a; 4096];
        for _ in 0..SYNCS {
            let began = monotonic();
            probe.write_all(&page)?;
            probe.as_file().sync_data()?;
            times.push(monotonic().saturating_sub(began));
        }
        // As `init` does for the name of a new vault.
        File::open(folder)?.sync_all()?;
        probe.rewind()?;
        let mut read = Vec::new();
        probe.read_to_end(&mut read)?;
        Ok(read.len() == SYNCS * page.len() && read.iter().all(|byte| *byte == 0x5a))
    };
    match write() {
        Err(error) => {
            return Check::new(
                "syncs",
                Status::Failed,
                format!(
                    "a file cannot be written and synced: {}; check the disk and its quota",
                    cause(&error)
                ),
            );
        }
        Ok(false) => {
            let message = "the file system returned other bytes than were written: replace this disk";
            return Check::new("syncs", Status::Failed, message);
        }
        Ok(true) => {}
    }
    times.sort_unstable();
    let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    let message = format!("4 KiB in {} (the median of {SYNCS}), at most {}", millis(median), millis(most));
    if median > SLOW {
        return Check::new(
            "syncs",
            Status::Warning,
            format!("{message}: every disclosure waits for one, use a faster disk"),
        );
    }
    Check::new("syncs", Status::Ok, message)
}

fn space(folder: &Path) -> Check {
    let Ok(stat) = rustix::fs::statvfs(folder) else {
        return Check::skipped("space", "the file system does not say");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let mib = free >> 20;
    if free < 2 * default::DISK_LOW_BYTES {
        let low = default::DISK_LOW_BYTES >> 20;
        let message =
            format!("{mib} MiB free: below {low} MiB a server stores and discloses nothing, make room");
        let status = if free < default::DISK_LOW_BYTES { Status::Failed } else { Status::Warning };
        return Check::new("space", status, message);
    }
    Check::new("space", Status::Ok, format!("{mib} MiB free"))
}
