//! The entrance of the fuzz targets to the writer of `.env` files.

use zeroize::Zeroizing;

use super::{dotenv, names::Variable};

/// Returns the line of one variable, or the message that refuses it.
pub(crate) fn write_dotenv(name: &str, value: &str) -> Result<String, String> {
    let variable = Variable::probed(name, Zeroizing::new(value.to_owned()));
    let lines = dotenv::lines(&[variable]).map_err(|error| format!("{} {}", error.message, error.hint))?;
    Ok(lines.to_string())
}
