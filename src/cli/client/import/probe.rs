//! Entrances of the fuzz targets: an input as bytes, up to the credentials that would be stored.

use super::{
    dotenv,
    format::{self, Input},
    input,
    items::{self, Plan},
};
use crate::{cli::error::CliError, client::Scope};

/// Reads an input as `import FILE --global` and, of one secret, as `--name NAME` does; returns the credentials' JSON, or
/// the message that refuses it.
pub(crate) fn import(bytes: &[u8]) -> Result<Vec<String>, String> {
    let message = |error: CliError| format!("{}; {}", error.message, error.hint);
    let text = input::probed(bytes).map_err(message)?;
    let json = |wanted: Vec<items::Wanted<'_>>| -> Vec<String> {
        let revisions = wanted.into_iter().flat_map(|one| one.revisions);
        revisions.map(|one| one.credentials.json().to_owned()).collect()
    };
    match format::read(&text, "FILE").map_err(message)? {
        Input::Own(own) => items::of_export(&own).map(json).map_err(|bad| bad.to_string()),
        Input::Tool(values) => {
            let name = values.is_one_secret.then(|| "name".to_owned());
            let plan = Plan { scope: Scope::Global, name, pair: None };
            items::of_tool(values, &plan).map(|(wanted, _)| json(wanted)).map_err(message)
        }
    }
}

/// Parses a `.env` file; returns its names and values, or the message that refuses it.
pub(crate) fn dotenv(text: &str) -> Result<Vec<(String, String)>, String> {
    let entries = dotenv::parse(text).map_err(|bad| bad.to_string())?;
    Ok(entries.into_iter().map(|one| (one.name, one.value.to_string())).collect())
}
