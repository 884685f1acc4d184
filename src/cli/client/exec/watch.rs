//! `--watch`: the credentials are read again, each time as an audited disclosure, and compared.

use std::{sync::mpsc::Sender, thread, time::Duration};

use super::{reading::Reading, supervise::Happened};
use crate::cli::{client::credentials::Variable, error::CliError, terminal::output::Output};

/// Reads every `interval` in a thread of its own, and sends the variables when one of them changed.
pub(super) fn begin(
    reading: Reading,
    mut known: Vec<Variable>,
    interval: Duration,
    to: Sender<Happened>,
    output: Output,
) {
    thread::spawn(move || {
        let mut is_failing = false;
        loop {
            thread::sleep(interval);
            match reading.read_again(output) {
                Ok(now) if same(&known, &now) => is_failing = false,
                Ok(now) => {
                    is_failing = false;
                    known = now.iter().map(Variable::copied).collect();
                    if to.send(Happened::Changed(now)).is_err() {
                        return;
                    }
                }
                // The program goes on with the values that it has; a server that is away is reported once.
                Err(error) if !is_failing => {
                    is_failing = true;
                    let CliError { message, hint, .. } = error;
                    output
                        .warning(&format!("exec --watch: {message}; the command keeps its values ({hint})"));
                }
                Err(_) => {}
            }
        }
    });
}

/// Returns whether both name the same values; their order means nothing.
fn same(one: &[Variable], other: &[Variable]) -> bool {
    let is_in = |variable: &Variable, all: &[Variable]| {
        all.iter().any(|known| known.name == variable.name && known.value == variable.value)
    };
    one.len() == other.len() && one.iter().all(|variable| is_in(variable, other))
}
