//! Descriptors: as many as the connections need, or fewer connections. Otherwise idle connections from two addresses
//! exhaust a soft limit of 1,024, and no other client gets in.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::terminal::output::Output;

/// Descriptors that the process needs besides connections: the file, its lock, sockets, epoll, signals, secrets and
/// certificates that are read again, checkpoints. An idle process has 16 open; the rest is headroom.
const RESERVE: u64 = 64;

/// Raises the soft limit to what this many connections need. Returns the number of connections that are possible.
pub(super) fn provide(connections: usize, output: &Output) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX);
    let soft = limit.current.unwrap_or(u64::MAX);
    let needed = wanted.saturating_add(RESERVE);
    if soft >= needed {
        return connections;
    }
    let raised = needed.min(limit.maximum.unwrap_or(u64::MAX));
    let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
    let allowed = if set.is_ok() { raised } else { soft };
    let possible = usize::try_from(carried(allowed)).unwrap_or(usize::MAX).min(connections);
    if possible < connections {
        output.warning(&format!(
            "this process may open {allowed} files: connections_max is {possible} and not {connections}; raise the \
             hard limit (ulimit -Hn, LimitNOFILE= of systemd), or lower connections_max"
        ));
    }
    possible
}

/// Returns the number of connections that a limit allows; half of it if it is very low.
pub(super) fn carried(limit: u64) -> u64 {
    (limit - RESERVE.min(limit / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_carries_connections_beside_what_the_server_itself_opens() {
        for (limit, connections) in [(1088, 1024), (1024, 960), (256, 192), (100, 50), (2, 1), (0, 1)] {
            assert_eq!(carried(limit), connections, "{limit}");
        }
    }
}
