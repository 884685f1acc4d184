//! `sealroom version`: the version, and with `--verbose` what a report of a fault needs of the binary.

use serde_json::json;

use super::{error::CliError, terminal::output::Output};

/// The commit, from the variable that `.ci/release` sets; a build elsewhere knows none, and is still reproducible.
const COMMIT: Option<&str> = option_env!("SEALROOM_COMMIT");

/// The newest file format that this binary writes; the client alone knows no file.
#[cfg(feature = "server")]
const FORMAT: Option<u32> = Some(crate::storage::FORMAT);
#[cfg(not(feature = "server"))]
const FORMAT: Option<u32> = None;

/// Examples in the help.
pub(super) const EXAMPLES: &str = "Examples:\n  sealroom version --verbose\n  sealroom version --json";

/// `version`'s flags.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print commit, target, profile, features and the format of the vault file too.
    #[arg(long, short)]
    verbose: bool,
}

/// Prints it; as JSON always all of it.
pub(super) fn run(args: &Args, output: Output) -> Result<(), CliError> {
    let (version, target, features) = (env!("CARGO_PKG_VERSION"), target(), features());
    let commit = COMMIT.filter(|commit| !commit.is_empty());
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let mut lines = format!("sealroom {version}");
    if args.verbose {
        let mut add = |name: &str, text: &str| lines.extend([format!("\n{name:<9} {text}")]);
        add("commit", commit.unwrap_or("unknown"));
        add("target", &target);
        add("profile", profile);
        add("features", &features.join(", "));
        if let Some(format) = FORMAT {
            add("format", &format!("{format} (of the vault file; older ones are migrated)"));
        }
    }
    let value = json!({
        "version": version, "commit": commit, "target": target, "profile": profile, "features": features,
        "format": FORMAT,
    });
    output.result(&lines, &value)
}

/// Returns processor, system and C library, in the order of Rust's target names.
fn target() -> String {
    let library = if cfg!(target_env = "musl") {
        "-musl"
    } else if cfg!(target_env = "gnu") {
        "-gnu"
    } else {
        ""
    };
    format!("{}-{}{library}", std::env::consts::ARCH, std::env::consts::OS)
}

fn features() -> Vec<&'static str> {
    let all = [("server", cfg!(feature = "server")), ("client", cfg!(feature = "client"))];
    all.into_iter().filter_map(|(name, is_in)| is_in.then_some(name)).collect()
}
