//! The memory of this host, or of its cgroup, for a key derivation: one that does not fit would get the process killed.

use std::{fs, path::Path};

use rustix::process::{Resource, getrlimit};

use crate::{
    cli::error::CliError,
    crypto::{kdf::KdfParams, keys::SlotKind, machine::MachineKey},
    domain::Secret,
    vault::{Closed, SlotChange, Vault},
};

/// Memory that the process needs beside the derivation, in KiB.
const BESIDE_KIB: u64 = 8 * 1024;

/// The free memory, and the reason for its bound.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Free {
    kib: u64,
    of: &'static str,
}

/// Checks that a new slot's key derivation fits.
pub(super) fn check_new(kdf: KdfParams) -> Result<(), CliError> {
    let Some(lack) = lack_for(kdf) else { return Ok(()) };
    Err(CliError::failed(
        lack,
        "raise the limit, or pass a lower --kdf-memory, which makes guessing the passphrase of a stolen file cheaper",
    ))
}

/// Returns the message if this key derivation does not fit.
pub(super) fn lack_for(kdf: KdfParams) -> Option<String> {
    lack(kdf.memory_kib(), here())
}

/// Returns the memory that this process may still take, in KiB, if the system tells.
pub(super) fn free_kib() -> Option<u64> {
    here().map(|free| free.kib)
}

/// Checks that the key derivations of an unlock fit; the text of a machine key needs none.
pub(super) fn check_unlock(vault: &Vault, secret: &Secret) -> Result<(), CliError> {
    let slots = vault.slots().unwrap_or_default();
    let costly = slots.iter().filter(|slot| slot.kind != SlotKind::Machine);
    check(costly.map(|slot| slot.kdf.memory_kib()).max().unwrap_or_default(), secret)
}

/// Checks that the key derivations that open a closed file fit, as [`check_unlock`] does.
pub(super) fn check_unseal(closed: &Closed, secret: &Secret) -> Result<(), CliError> {
    check(closed.most_memory_kib().unwrap_or_default(), secret)
}

fn check(most_kib: u32, secret: &Secret) -> Result<(), CliError> {
    if secret.expose_text().and_then(MachineKey::from_text).is_some() {
        return Ok(());
    }
    let Some(lack) = lack(most_kib, here()) else { return Ok(()) };
    Err(CliError::failed(
        lack,
        "raise the limit, or lower the cost on a larger host: sealroom slot change --same --kdf-memory KIB",
    ))
}

/// Checks that a change of the slots fits.
pub(super) fn check_slots(vault: &Vault, change: &SlotChange) -> Result<(), CliError> {
    match change {
        SlotChange::Add(new) | SlotChange::Change { new, .. } if new.kind != SlotKind::Machine => {
            check_new(new.kdf)
        }
        SlotChange::Add(_) | SlotChange::Change { .. } | SlotChange::Remove { .. } => Ok(()),
    }
    .and_then(|()| check_unlock(vault, &Secret::new(Vec::new())))
}

/// Returns the message if this much memory is not free.
fn lack(needed_kib: u32, free: Option<Free>) -> Option<String> {
    let Free { kib, of } = free?;
    let needed = u64::from(needed_kib);
    (needed + BESIDE_KIB > kib).then(|| {
        format!(
            "the key derivation needs {} MiB of memory, and {of} has {} MiB left",
            needed / 1024,
            kib / 1024
        )
    })
}

fn here() -> Option<Free> {
    free(Path::new("/"), getrlimit(Resource::As).current)
}

/// Returns the memory that this process may still take: what the host has available, or what a limit of its cgroup or
/// of its address space (`ulimit -v`, in bytes) leaves. `None` if the system does not tell.
fn free(root: &Path, address_space: Option<u64>) -> Option<Free> {
    let host = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| available(&text));
    let host = host.map(|kib| Free { kib, of: "this host" });
    let group = cgroup(root).map(|kib| Free { kib, of: "the cgroup of this process" });
    let status = fs::read_to_string(root.join("proc/self/status")).ok();
    let used = status.and_then(|text| kib_of(&text, "VmSize:"));
    let space = address_space.zip(used).map(|(limit, used)| Free {
        kib: (limit / 1024).saturating_sub(used),
        of: "the address space of this process (ulimit -v)",
    });
    host.into_iter().chain(group).chain(space).min_by_key(|free| free.kib)
}

fn available(meminfo: &str) -> Option<u64> {
    kib_of(meminfo, "MemAvailable:")
}

/// Reads a number of `/proc` that is in KiB.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Returns the least that a limit on the way to the root leaves (cgroup v2, or the memory controller of v1), in KiB.
fn cgroup(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut least = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (base, files) = if controllers.is_empty() {
            ("sys/fs/cgroup", ["memory.max", "memory.current", "memory.stat"])
        } else if controllers.split(',').any(|name| name == "memory") {
            ("sys/fs/cgroup/memory", ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"])
        } else {
            continue;
        };
        let base = root.join(base);
        let mut folder = Some(base.join(path.trim_start_matches('/')));
        while let Some(at) = folder.filter(|at| at.starts_with(&base)) {
            least = least.into_iter().chain(left(&at, files)).min();
            folder = at.parent().map(Path::to_owned);
        }
    }
    least
}

/// Returns what one group's limit leaves; its page cache counts as free, since the kernel takes it back first.
fn left(group: &Path, [max, current, stat]: [&str; 3]) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let (max, current) = (number(max)?, number(current)?);
    let stat = fs::read_to_string(group.join(stat)).unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let cached: u64 = cached.and_then(|number| number.trim().parse().ok()).unwrap_or(0);
    Some(max.saturating_sub(current.saturating_sub(cached)) / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_tightest_limit_on_the_way_to_the_root_decides() {
        let host = ("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable:    4000000 kB\n");
        let v2 = ("proc/self/cgroup", "0::/app/one\n");
        let own = ("sys/fs/cgroup/app/one/memory.max", "max\n");
        let parent = ("sys/fs/cgroup/app/memory.max", "67108864\n");
        let used = ("sys/fs/cgroup/app/memory.current", "20971520\n");
        let cache = ("sys/fs/cgroup/app/memory.stat", "anon 1\ninactive_file 4194304\n");
        let free = |files: &[(&str, &str)]| super::free(root(files).path(), None);
        assert_eq!(free(&[host]), Some(Free { kib: 4_000_000, of: "this host" }));
        assert_eq!(free(&[host, v2, own]), Some(Free { kib: 4_000_000, of: "this host" }));
        let limited = free(&[host, v2, own, parent, used, cache]).unwrap();
        assert_eq!(limited, Free { kib: 48 * 1024, of: "the cgroup of this process" });
        let v1 = ("proc/self/cgroup", "5:cpu:/x\n4:memory:/x\n");
        let limit = ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "33554432\n");
        let usage = ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "0\n");
        assert_eq!(free(&[host, v1, limit, usage]).unwrap().kib, 32 * 1024);
        assert_eq!(free(&[]), None);
        let status = ("proc/self/status", "VmPeak: 9 kB\nVmSize:   34816 kB\n");
        let space = super::free(root(&[host, status]).path(), Some(128 << 20)).unwrap();
        assert_eq!((space.kib, space.of.contains("ulimit -v")), (94 * 1024, true));
        assert_eq!(super::free(root(&[host]).path(), Some(128 << 20)).unwrap().of, "this host");

        let told = lack(64 * 1024, Some(limited)).unwrap();
        assert!(
            told.contains("needs 64 MiB") && told.contains("cgroup of this process has 48 MiB"),
            "{told}"
        );
        assert_eq!(lack(64 * 1024, Some(Free { kib: 100 * 1024, of: "this host" })), None);
        assert_eq!(lack(64 * 1024, None), None);
    }
}
