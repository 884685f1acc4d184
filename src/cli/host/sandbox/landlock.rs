//! Files and TCP ports (landlock(7)).

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::rules::{Access, Outgoing, Rules};

/// The newest interface that the tests have run on; an older kernel restricts what it can.
const ABI_MAX: ABI = ABI::V7;

/// Restricts this thread, and those that it starts.
pub(super) fn restrict(rules: &Rules) -> Result<String, String> {
    let status = try_restrict(rules).map_err(|error| format!("landlock: {error}"))?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            let lacks = if effective_abi < ABI_MAX { " (an older kernel's)" } else { "" };
            Ok(format!("landlock abi {}{lacks}", effective_abi.min(ABI_MAX) as i32))
        }
        LandlockStatus::NotEnabled => Err("landlock is not among the kernel's lsm= modules".to_owned()),
        _ => Err("the kernel has no landlock, which came with Linux 5.13".to_owned()),
    }
}

fn try_restrict(rules: &Rules) -> Result<RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(ABI_MAX))?;
    ruleset = ruleset.handle_access(AccessNet::BindTcp)?.scope(Scope::Signal)?;
    if rules.outgoing() == Outgoing::Refused {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    // systemd may listen for the state of its services on an abstract socket.
    if std::env::var_os("NOTIFY_SOCKET").is_none_or(|path| !path.as_encoded_bytes().starts_with(b"@")) {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    let mut created = ruleset.create()?;
    for (path, access) in rules.paths() {
        for rule in path_beneath_rules([path], bits(access)) {
            // A pipe takes no rule, and needs none. Any other failure leaves a path closed.
            drop((&mut created).add_rule(rule?));
        }
    }
    created.restrict_self()
}

/// Returns the rights of a use. None is to execute a file, or to make a device, a socket or a link.
fn bits(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let remove = AccessFs::RemoveFile | AccessFs::RemoveDir;
    match access {
        Access::Read => read,
        Access::Remove => remove,
        Access::Write => {
            let write = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::Refer;
            read | write | AccessFs::MakeReg | AccessFs::MakeDir | remove
        }
    }
}
