//! Rights of the process that the kernel grants by default.

use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
    thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set,
        set_capabilities, set_no_new_privs,
    },
};

/// Drops every right; returns each that is gone, or the cause.
pub(super) fn drop_all() -> [Result<String, String>; 4] {
    let part = |name: &str, done: rustix::io::Result<()>| {
        done.map(|()| name.to_owned()).map_err(|error| format!("{name}: {error}"))
    };
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    [
        // A kernel that pipes cores to a program takes no notice of the limit.
        part("not dumpable", set_dumpable_behavior(DumpableBehavior::NotDumpable)),
        part("no core files", setrlimit(Resource::Core, no_core)),
        part("no capabilities", drop_capabilities()),
        part("no new privileges", set_no_new_privs(true)),
    ]
}

fn drop_capabilities() -> rustix::io::Result<()> {
    // A process that may not change its bounding set has none to gain by executing a program either.
    for number in 0..u64::BITS {
        if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)).is_err() {
            break;
        }
    }
    // Unknown to kernels before 4.3, which have no ambient set.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}
