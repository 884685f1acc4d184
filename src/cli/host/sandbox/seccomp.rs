//! System calls (seccomp(2)): a list of those that a server needs, so that a call which a later kernel adds is refused
//! too. Numbers of the x32 interface are in no list.
//!
//! A refused call fails with `ENOSYS`, as on a kernel without it, so that the C library takes the older way: `clone`,
//! whose flags a filter can read, in place of `clone3`.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::rules::Outgoing;

/// Files, memory, threads, time, waiting, and connections that are there already.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    libc::SYS_fadvise64,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_utimensat,
    libc::SYS_umask,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_linkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_msync,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_brk,
    libc::SYS_membarrier,
    libc::SYS_futex,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_prlimit64,
    libc::SYS_capget,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // To itself, on a panic that cannot unwind; landlock refuses other processes.
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_eventfd2,
    libc::SYS_signalfd4,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
];
/// The older names of such calls, which the C library of x86-64 still uses.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_wait,
    libc::SYS_getpgrp,
    libc::SYS_getrlimit,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// Controls of descriptors: flags, waiting bytes, and of a terminal its echo, its size and the job in its foreground.
const CONTROLS: &[libc::c_ulong] = &[
    libc::FIONBIO as libc::c_ulong,
    libc::FIONREAD as libc::c_ulong,
    libc::FIOCLEX as libc::c_ulong,
    libc::TCGETS as libc::c_ulong,
    libc::TCSETS as libc::c_ulong,
    libc::TCSETSW as libc::c_ulong,
    libc::TCSETSF as libc::c_ulong,
    libc::TCGETS2 as libc::c_ulong,
    libc::TCSETS2 as libc::c_ulong,
    libc::TCSETSW2 as libc::c_ulong,
    libc::TCSETSF2 as libc::c_ulong,
    libc::TIOCGPGRP as libc::c_ulong,
    libc::TIOCGWINSZ as libc::c_ulong,
];
/// Names of threads and of memory, and questions.
const PROCESS_CONTROLS: &[libc::c_int] = &[
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_SECCOMP,
    libc::PR_GET_NO_NEW_PRIVS,
];

/// Restricts every thread of this process.
pub(super) fn restrict(outgoing: Outgoing) -> Result<String, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH);
    let arch = arch.map_err(|_| "seccomp: no list of system calls for this processor".to_owned())?;
    let installed = program(outgoing, arch)
        .map_err(seccompiler::Error::from)
        .and_then(|program| apply_filter_all_threads(&program));
    installed.map(|()| "seccomp".to_owned()).map_err(|error| format!("seccomp: {error}"))
}

fn program(outgoing: Outgoing, arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules(outgoing)?, refused, SeccompAction::Allow, arch)?.try_into()
}

type Allowed = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(outgoing: Outgoing) -> Result<Allowed, seccompiler::BackendError> {
    let mut rules: Allowed = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new())).collect();
    let masked = |arg, mask: libc::c_int, value: libc::c_int| {
        let mask = SeccompCmpOp::MaskedEq(u64::from(mask.unsigned_abs()));
        SeccompCondition::new(arg, Dword, mask, u64::from(value.unsigned_abs()))
    };
    let equal = |arg, value: u64| SeccompCondition::new(arg, Dword, SeccompCmpOp::Eq, value);
    // A thread, and no process.
    rules.insert(libc::SYS_clone, vec![rule(vec![masked(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?])?]);
    // No page becomes code.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule(vec![masked(2, libc::PROT_EXEC, 0)?])?]);
    }
    let controls = CONTROLS.iter().map(|control| rule(vec![equal(1, *control)?]));
    rules.insert(libc::SYS_ioctl, controls.collect::<Result<_, _>>()?);
    let controls =
        PROCESS_CONTROLS.iter().map(|control| rule(vec![equal(0, control.unsigned_abs().into())?]));
    rules.insert(libc::SYS_prctl, controls.collect::<Result<_, _>>()?);
    // The type's low four bits; the others are flags.
    let local = [equal(0, socket(libc::AF_UNIX))?, masked(1, 0xf, libc::SOCK_DGRAM)?];
    let mut sockets = vec![rule(local.into())?];
    // Both its ends are in this process.
    rules.insert(libc::SYS_socketpair, vec![rule(vec![equal(0, socket(libc::AF_UNIX))?])?]);
    if outgoing == Outgoing::Allowed {
        for family in [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
            sockets.push(rule(vec![equal(0, socket(family))?])?);
        }
        // A look-up of a name asks the kernel for its addresses, and several servers at once.
        rules.extend([libc::SYS_bind, libc::SYS_sendmmsg, libc::SYS_recvmmsg].map(|call| (call, Vec::new())));
    }
    rules.insert(libc::SYS_socket, sockets);
    Ok(rules)
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions)
}

fn socket(family: libc::c_int) -> u64 {
    u64::from(family.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_list_has_a_call_that_leaves_the_process() {
        for outgoing in [Outgoing::Refused, Outgoing::Allowed] {
            let rules = rules(outgoing).unwrap();
            for call in [
                libc::SYS_execve,
                libc::SYS_execveat,
                libc::SYS_clone3,
                libc::SYS_ptrace,
                libc::SYS_process_vm_readv,
                libc::SYS_process_vm_writev,
                libc::SYS_pidfd_getfd,
                libc::SYS_kill,
                libc::SYS_tkill,
                libc::SYS_bpf,
                libc::SYS_io_uring_setup,
                libc::SYS_io_uring_enter,
                libc::SYS_kexec_load,
                libc::SYS_init_module,
                libc::SYS_finit_module,
                libc::SYS_mount,
                libc::SYS_umount2,
                libc::SYS_open_tree,
                libc::SYS_chroot,
                libc::SYS_pivot_root,
                libc::SYS_setns,
                libc::SYS_unshare,
                libc::SYS_keyctl,
                libc::SYS_add_key,
                libc::SYS_request_key,
                libc::SYS_perf_event_open,
                libc::SYS_userfaultfd,
                libc::SYS_memfd_create,
                libc::SYS_open_by_handle_at,
                libc::SYS_setuid,
                libc::SYS_capset,
                libc::SYS_personality,
                libc::SYS_seccomp,
            ] {
                assert!(!rules.contains_key(&call), "{call}");
            }
            let conditional =
                [libc::SYS_clone, libc::SYS_socket, libc::SYS_mmap, libc::SYS_ioctl, libc::SYS_prctl];
            assert!(conditional.iter().all(|call| !rules[call].is_empty()));
            assert_eq!(rules.contains_key(&libc::SYS_bind), outgoing == Outgoing::Allowed);
            assert!(!rules.contains_key(&libc::SYS_listen));
        }
    }

    #[test]
    fn the_list_compiles_for_every_processor() {
        for arch in [TargetArch::x86_64, TargetArch::aarch64, TargetArch::riscv64] {
            assert!(program(Outgoing::Allowed, arch).is_ok());
        }
    }
}
