use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

fn ignored(pairs: &[(&str, &str)]) -> Vec<String> {
    let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    unknown(&Cli::command(), pairs)
        .iter()
        .map(|name| complaint(&Cli::command(), name))
        .map(|(message, hint)| format!("{message}; {hint}"))
        .collect()
}

#[test]
fn a_mistyped_variable_is_told_by_the_nearest_name_and_never_by_its_value() {
    for (name, near) in [
        ("SEALROOM_LISTN", "did you mean SEALROOM_LISTEN?"),
        ("SEALROOM_CHECKPOINT_FOLDR", "did you mean SEALROOM_CHECKPOINT_FOLDER?"),
        ("SEALROOM_PASSPRASE_FILE", "did you mean SEALROOM_PASSPHRASE_FILE?"),
        ("SEALROOM_SERVER_TOKEN", "did you mean SFP_SERVER_TOKEN?"),
        ("SEALROOM_SERVER_URL", "did you mean SFP_SERVER_URL?"),
        ("SEALROOM_PASSPHRASE", "name that in SEALROOM_PASSPHRASE_FILE"),
        ("SEALROOM_PASSWORD", "name that in SEALROOM_PASSWORD_FILE"),
        ("SEALROOM_XYZZY", "see config.example.toml"),
    ] {
        let said = ignored(&[(name, "ghp_example")]);
        assert!(said.len() == 1 && said[0].starts_with(name) && said[0].contains(near), "{name}: {said:?}");
        assert!(!said[0].contains("ghp_example"), "{said:?}");
    }
    let said = ignored(&[("SEALROOM_\u{1b}[2J", "x")]);
    assert!(!said[0].contains('\u{1b}'), "{said:?}");
}

#[test]
fn what_is_known_empty_or_anothers_is_no_mistake() {
    let all: Vec<(&str, &str)> = VARIABLES.iter().map(|name| (*name, "x")).collect();
    assert_eq!(ignored(&all), [""; 0]);
    let others = [
        ("SEALROOM_LISTN", ""),
        ("SFP_ORGANIZATION", "x"),
        ("SEALROOMS", "x"),
        ("SEALROOM_SERVICE_HOST", "10.0.0.7"),
        ("SEALROOM_SERVICE_PORT_HTTP", "3029"),
        ("SEALROOM_PORT", "tcp://10.0.0.7:3029"),
        ("SEALROOM_PORT_3029_TCP_ADDR", "10.0.0.7"),
    ];
    assert_eq!(ignored(&others), [""; 0]);
    assert_eq!(ignored(&[("SEALROOM_PORT", "3029")]).len(), 1, "a port that was meant to be ours");
}

#[cfg(all(feature = "server", feature = "client"))]
#[test]
fn the_list_has_every_variable_of_the_commands_and_each_is_named_after_its_flag() {
    fn check(command: &Command) {
        for arg in command.get_arguments() {
            let Some(name) = arg.get_env() else { continue };
            let named = crate::cli::source::variable(arg.get_id().as_str());
            assert!(name == named.as_str() || arg.is_positional(), "{name:?} belongs to --{}", arg.get_id());
            assert!(VARIABLES.iter().any(|known| name == *known), "{name:?} is not in VARIABLES");
            assert!(!arg.is_required_set(), "{name:?}: the flags are parsed alone first");
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}
