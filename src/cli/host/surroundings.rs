//! The time and the memory of this host, for an examination.

use std::fs;

use crate::{clock::Clock, storage::Surroundings};

/// Returns what an examination compares a file with.
pub(super) fn surroundings() -> Surroundings {
    Surroundings { now: Clock::system().now(), memory_bytes: memory_bytes() }
}

/// Returns the memory in bytes that the host has to spare and the process's control group allows; `None` where the
/// system does not say.
fn memory_bytes() -> Option<u64> {
    let host = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = group.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    host.into_iter().chain(group).min()
}

/// Reads `MemAvailable` of `/proc/meminfo` (proc(5)), which is in KiB.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_memory_is_what_it_has_to_spare() {
        let text = "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    4000000 kB\n";
        assert_eq!(available(text), Some(4_000_000 * 1024));
        assert_eq!(available("MemTotal: 8 kB\n"), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
    }
}
