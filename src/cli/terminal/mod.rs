//! Standard output, standard error and the prompts at a terminal.

pub(super) mod confirm;
pub(super) mod once;
pub(super) mod output;
pub(super) mod patient;
pub(super) mod progress;
pub(super) mod prompt;
#[cfg(all(unix, feature = "client"))]
pub(super) mod raw;
#[cfg_attr(
    not(feature = "client"),
    allow(dead_code, unused_imports, reason = "most of it is for the client's lists")
)]
pub(super) mod table;
pub(super) mod visible;
