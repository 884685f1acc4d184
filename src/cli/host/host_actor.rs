//! The actor at the host, as the audit log names it: the system's name of the uid. `$USER` can be set to anything.

use crate::domain::Actor;

/// Returns the user that this process runs as.
pub(super) fn host_actor() -> Actor {
    actor_of_uid(rustix::process::getuid().as_raw())
}

/// Returns the user with that uid, by number if the system has no name for it.
pub(super) fn actor_of_uid(uid: u32) -> Actor {
    let name = uzers::get_user_by_uid(uid).map(|user| user.name().to_string_lossy().into_owned());
    Actor::host(&name.unwrap_or_else(|| uid.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_named_by_the_system_and_by_its_number_where_that_has_no_name() {
        assert_eq!(actor_of_uid(0).to_string(), "host:root");
        assert_eq!(actor_of_uid(4_000_000_017).to_string(), "host:4000000017");
    }
}
