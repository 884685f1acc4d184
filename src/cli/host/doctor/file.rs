//! Checks of the file from outside: its mode, its owner, its names, what lies beside it, and the free space.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{
    cli::host::host_actor::actor_of_uid,
    config::default,
    disk::resolved,
    storage::{Check, Findings, Status},
};

/// Runs the checks that need only the file's name.
pub(super) fn file_checks(path: &Path) -> Vec<Check> {
    let Ok(metadata) = fs::metadata(path) else { return Vec::new() };
    vec![mode(&metadata), names(path, &metadata), space(path, &metadata)]
}

fn mode(metadata: &fs::Metadata) -> Check {
    let mut findings = Findings::default();
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        findings.add(format!("mode {mode:04o}: others may read it; chmod 600"));
    }
    let own = rustix::process::getuid().as_raw();
    if metadata.uid() != own && own != 0 {
        findings.add(format!("it belongs to {}, and not to this user", name_of(metadata.uid())));
    }
    let good = format!("mode {mode:04o}, owner {}", name_of(metadata.uid()));
    Check::of("file", findings, good, Status::Warning, "findings about the file's mode and owner")
}

fn name_of(uid: u32) -> String {
    actor_of_uid(uid).to_string().trim_start_matches("host:").to_owned()
}

fn names(path: &Path, metadata: &fs::Metadata) -> Check {
    let mut findings = Findings::default();
    let real = resolved(path);
    if let Ok(target) = fs::read_link(path) {
        let shown = target.display();
        findings.add(format!("{} is a symbolic link to {shown}: name the file itself", path.display()));
    }
    if metadata.nlink() > 1 {
        findings.add(format!("it has {} names (hard links), and a server refuses it", metadata.nlink()));
        let others = siblings(&real).into_iter().filter(|other| {
            *other != real
                && fs::symlink_metadata(other)
                    .is_ok_and(|there| (there.dev(), there.ino()) == (metadata.dev(), metadata.ino()))
        });
        others.for_each(|other| findings.add(format!("one of them is {}", other.display())));
    }
    for other in mounted_again(&real, metadata) {
        findings.add(format!("a second mount shows it at {}", other.display()));
    }
    for left in leftovers(&real) {
        findings
            .add(format!("{} is what a killed command left behind: the next one removes it", left.display()));
    }
    let good = "one name, nothing left beside it";
    Check::of("names", findings, good, Status::Warning, "findings about the file's names and folder")
}

/// Returns the paths in the file's folder.
fn siblings(real: &Path) -> Vec<PathBuf> {
    let folder = real.parent().unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Returns the files that commands make beside the file while they run.
fn leftovers(real: &Path) -> Vec<PathBuf> {
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let begins = format!(".{name}.sealroom-");
    let is_left = |path: &PathBuf| {
        path.file_name().is_some_and(|other| other.to_string_lossy().starts_with(&begins))
            // A command that runs holds its file's lock.
            && fs::File::open(path)
                .is_ok_and(|file| rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_ok())
    };
    siblings(real).into_iter().filter(is_left).collect()
}

/// Returns the other paths at which the mount table shows the same file (proc(5), `/proc/PID/mountinfo`).
fn mounted_again(real: &Path, metadata: &fs::Metadata) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts: Vec<(&str, &str, &str)> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(2);
            Some((fields.next()?, fields.next()?, fields.next()?))
        })
        .collect();
    let own = mounts.iter().filter(|(_, _, point)| real.starts_with(point));
    let Some((device, root, point)) = own.max_by_key(|(_, _, point)| point.len()) else { return Vec::new() };
    let Ok(rest) = real.strip_prefix(point) else { return Vec::new() };
    let within = Path::new(root).join(rest);
    let others = mounts.iter().filter(|(other, _, there)| other == device && there != point);
    others
        .filter_map(|(_, root, point)| Some(Path::new(point).join(within.strip_prefix(root).ok()?)))
        .filter(|path| {
            *path != real
                && fs::metadata(path)
                    .is_ok_and(|there| (there.dev(), there.ino()) == (metadata.dev(), metadata.ino()))
        })
        .collect()
}

fn space(path: &Path, metadata: &fs::Metadata) -> Check {
    let real = resolved(path);
    let folder = real.parent().unwrap_or(Path::new("."));
    let Ok(stat) = rustix::fs::statvfs(folder) else {
        return Check::skipped("space", "the file system does not say");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let free_mib = free >> 20;
    if free < default::DISK_LOW_BYTES {
        let message = format!(
            "{free_mib} MiB free: below the {} MiB at which a server stores and discloses nothing",
            default::DISK_LOW_BYTES >> 20
        );
        return Check::new("space", Status::Warning, message);
    }
    if free - default::DISK_LOW_BYTES < metadata.len() {
        let message =
            format!("{free_mib} MiB free: too little for a second copy beside it, as `compact` makes");
        return Check::new("space", Status::Warning, message);
    }
    Check::new("space", Status::Ok, format!("{free_mib} MiB free"))
}
