//! `sealroom completions` and `sealroom man`: generated from the commands' own flags and help.

use std::{fs, io, path::PathBuf};

use clap_complete::Shell;
use serde_json::json;

use crate::cli::{error::CliError, terminal::output::Output};

/// `completions`' flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// `man`'s flags.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ManArgs {
    /// The folder for the pages; created if missing.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn completions(
    args: CompletionArgs,
    mut grammar: clap::Command,
    output: Output,
) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut grammar, "sealroom", &mut script);
    if output.is_json() {
        let script = String::from_utf8_lossy(&script);
        return output.result("", &json!({ "shell": args.shell.to_string(), "script": script }));
    }
    output.bytes(&script)
}

pub(super) fn man(args: ManArgs, mut grammar: clap::Command, output: Output) -> Result<(), CliError> {
    let folder = &args.folder;
    let failed = |error: io::Error| {
        CliError::failed(format!("{}: {error}", folder.display()), "pass a writable folder")
    };
    fs::create_dir_all(folder).map_err(failed)?;
    grammar.build();
    let mut written = Vec::new();
    pages(&grammar, "sealroom", &mut |name, page| {
        fs::write(folder.join(name), page)?;
        written.push(name.to_owned());
        Ok(())
    })
    .map_err(failed)?;
    let line = format!(
        "wrote {} pages; read one with: man -l {}",
        written.len(),
        folder.join("sealroom.1").display()
    );
    output.result(&line, &json!({ "folder": folder, "pages": written }))
}

/// Generates one page for each command, `sealroom-integration-add.1`, top-down.
fn pages(
    command: &clap::Command,
    name: &str,
    write: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).render(&mut page)?;
    write(&format!("{name}.1"), &page)?;
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help");
    shown.into_iter().try_for_each(|one| pages(one, &format!("{name}-{}", one.get_name()), write))
}
