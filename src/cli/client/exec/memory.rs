//! The memory of the processes that have the values.

/// Keeps this process's values out of core files, and other processes of the user from reading them. The setting ends
/// where another program begins, so that the command is not affected.
pub(super) fn leave_no_core() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A kernel that refuses leaves the values as readable as the command's own environment is.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
