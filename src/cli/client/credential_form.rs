//! A credential's fields, from a JSON file or from prompts.

use std::path::Path;

use serde::ser::{SerializeMap, Serializer};
use zeroize::Zeroizing;

use crate::{
    api::{responses::to_secret_json, strict},
    cli::{
        error::CliError,
        pem, secrets,
        terminal::{
            output::Output,
            prompt::{self, Asking},
        },
    },
    domain::{AuthType, Provider, Secret, field_rule},
};

/// Fields whose input is echoed: they name a place or an account, and grant no access.
const PLAIN: &[&str] = &[
    "account_id",
    "app_id",
    "base_url",
    "client_id",
    "cloud_id",
    "email",
    "host",
    "port",
    "region",
    "site",
    "tenant",
    "tenant_id",
    "user",
    "username",
];

/// Returns whether a field of this name names a place or an account, and grants no access.
pub(super) fn is_plain(field: &str) -> bool {
    PLAIN.contains(&field)
}

/// Returns the credential of a pair as a JSON object.
///
/// # Errors
/// The file holds no such object, or there is no terminal for a prompt.
pub(super) fn credentials(
    provider: Provider,
    auth_type: AuthType,
    from_json: Option<&Path>,
    output: Output,
) -> Result<Secret, CliError> {
    if let Some(path) = from_json {
        return from_file(path, output);
    }
    let fields = field_rule(provider, auth_type).map(|rule| rule.sets[0]);
    if !prompt::is_possible() {
        let usual: &[&str] = if provider == Provider::Custom { &["value"] } else { &["token"] };
        let shape = fields.unwrap_or(usual).iter().map(|field| format!("\"{field}\":\"…\""));
        let shape = shape.collect::<Vec<_>>().join(",");
        return Err(CliError::usage(
            format!("no fields for {provider}/{auth_type}: standard input is not a terminal"),
            format!("pass --from-json FILE, or --from-json - for standard input, with {{{shape}}}"),
        ));
    }
    let object = match fields {
        Some(fields) => fields.iter().map(|field| Ok(((*field).to_owned(), ask(field)?))).collect(),
        None => open_ended(output),
    };
    Ok(to_secret_json(&Object(object?)))
}

/// Returns the given label, or prompts for one where it is required.
pub(super) fn label(provider: Provider, given: Option<String>) -> Result<Option<String>, CliError> {
    if given.is_some() || provider != Provider::Custom {
        return Ok(given);
    }
    if prompt::is_possible() {
        return prompt::text("Name").map(Some);
    }
    Err(CliError::usage("a custom integration needs a name", "pass --name NAME"))
}

fn from_file(path: &Path, output: Output) -> Result<Secret, CliError> {
    let json = secrets::from_file_or_stdin(path, &output)?;
    let shown =
        if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    // The server would refuse it too; at this point nothing has been sent.
    let checked = strict::check(json.expose()).map_err(|bad| {
        CliError::failed(
            format!("{shown}: {}", bad.to_string().replace("the body", "it")),
            "give one JSON object",
        )
    })?;
    if !checked.trim_ascii_start().starts_with('{') {
        return Err(CliError::failed(
            format!("{shown} is no JSON object"),
            "give one like {\"token\":\"…\"}",
        ));
    }
    if is_keyless(checked) {
        // Only a warning: a file's author may know better, whereas a paste can be truncated.
        output.warning(&format!("{shown}: private_key holds no PEM block of a private key"));
    }
    Ok(json)
}

/// Returns whether a text field `private_key` holds no private key.
fn is_keyless(json: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Fields {
        private_key: Zeroizing<String>,
    }
    serde_json::from_str::<Fields>(json).is_ok_and(|fields| !pem::holds_private_key(&fields.private_key))
}

fn ask(field: &str) -> Result<Secret, CliError> {
    let answer = if is_plain(field) {
        Secret::from(prompt::text(field)?)
    } else {
        prompt::secret(field, Asking::Once)?
    };
    if answer.is_empty() {
        return Err(CliError::failed(format!("{field} is empty"), "nothing was stored; run it again"));
    }
    if field == "private_key" && !answer.expose_text().is_some_and(pem::holds_private_key) {
        return Err(CliError::failed(
            "private_key holds no private key: no block BEGIN … PRIVATE KEY with its END",
            "nothing was stored; paste the whole PEM file, or give it with --from-json",
        ));
    }
    Ok(answer)
}

/// Prompts for names and values where no pair defines the fields.
fn open_ended(output: Output) -> Result<Vec<(String, Secret)>, CliError> {
    output.note("Enter the credential's fields one by one; an empty name ends the list.");
    let mut fields: Vec<(String, Secret)> = Vec::new();
    loop {
        let name = prompt::text("field name")?;
        if name.is_empty() && !fields.is_empty() {
            return Ok(fields);
        }
        if name.is_empty() || fields.iter().any(|(known, _)| *known == name) {
            return Err(CliError::failed(
                "each field needs its own name",
                "nothing was stored; run it again",
            ));
        }
        let value = ask(&name)?;
        fields.push((name, value));
    }
}

/// A JSON object of fields, in the order of the prompts.
struct Object(Vec<(String, Secret)>);

impl serde::Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value.expose_text().expect("a prompt's answer is text"))?;
        }
        map.end()
    }
}
