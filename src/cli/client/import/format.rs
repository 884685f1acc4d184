//! Recognizes the format of an input by its content, and reads its values.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::{
    csv, dotenv,
    found::{Members, Node, Unreadable},
    json::{self, Shape},
    own::{self, Own},
    yaml,
};
use crate::{
    api::strict,
    cli::{error::CliError, terminal::visible::on_one_line},
};

/// The formats, for the hint of an unknown one.
const KNOWN: &str = "it reads `sealroom export`, .env, JSON and YAML of `sops decrypt`, `vault kv get -format=json`, \
                     `infisical export` and `doppler secrets download`";
/// Maximum number of characters of a name that an error shows.
const NAME_SHOWN_MAX: usize = 60;
/// The beginning of a value that SOPS has encrypted.
const SEALED: &str = "ENC[AES256_GCM,";
/// The variables by which Doppler describes the export itself.
const OF_DOPPLER: [&str; 3] = ["DOPPLER_CONFIG", "DOPPLER_ENVIRONMENT", "DOPPLER_PROJECT"];

/// An input, read.
pub(super) enum Input<'a> {
    /// An export of this program.
    Own(Own<'a>),
    /// Values of another tool.
    Tool(Values),
}

/// The values of another tool.
pub(super) struct Values {
    /// The format, as a reader calls it.
    pub(super) format: &'static str,
    /// The values, in their order; each name once.
    pub(super) found: Vec<Found>,
    /// `true` if the names are those of one secret's fields, and the secret's own name is missing.
    pub(super) is_one_secret: bool,
    /// The names of values that refer to other variables and are not expanded.
    pub(super) referring: Vec<String>,
}

/// A named value, or a group of named values.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) content: Content,
}

pub(super) enum Content {
    One(Zeroizing<String>),
    Several(Vec<(String, Zeroizing<String>)>),
}

/// Reads an input; `shown` names it in errors.
///
/// # Errors
/// No known tool writes it so, it is still encrypted, or a name has two values.
pub(super) fn read<'a>(text: &'a str, shown: &str) -> Result<Input<'a>, CliError> {
    let unreadable = |bad: Unreadable| unread(shown, bad);
    if text.trim_ascii().is_empty() {
        return Err(CliError::failed(format!("{shown} is empty"), KNOWN));
    }
    if own::is_begun(text.as_bytes()) {
        return own::parse(text).map(Input::Own).map_err(unreadable);
    }
    let (format, members, referring) = recognize(text, shown)?;
    let is_sealed =
        |node: &Node| matches!(node, Node::Text(text) | Node::Plain(text) if text.starts_with(SEALED));
    if format == Format::Sealed || members.iter().any(|(_, node)| any(node, &is_sealed)) {
        return Err(CliError::failed(
            format!("{shown} is still encrypted by SOPS"),
            "decrypt it on the way: sops decrypt FILE | sealroom import -",
        ));
    }
    let (format, members) = without_doppler(format, members);
    let found = members.into_iter().map(found).collect();
    let found = once(found, shown)?;
    if found.is_empty() {
        return Err(CliError::failed(format!("{shown} has no values"), "nothing was read from it"));
    }
    let is_one_secret = format == Format::Vault;
    Ok(Input::Tool(Values { format: format.shown(), found, is_one_secret, referring }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Dotenv,
    Json,
    Yaml,
    Csv,
    Vault,
    Infisical,
    Doppler,
    Sealed,
}

impl Format {
    const fn shown(self) -> &'static str {
        match self {
            Self::Dotenv => ".env",
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Csv => "CSV of Infisical",
            Self::Vault => "JSON of Vault",
            Self::Infisical => "JSON of Infisical",
            Self::Doppler => "Doppler",
            Self::Sealed => "SOPS",
        }
    }
}

/// Recognizes by the first characters: a bracket, the heading of a CSV, an assignment, a name with a colon.
fn recognize(text: &str, shown: &str) -> Result<(Format, Members, Vec<String>), CliError> {
    let unreadable = |bad: Unreadable| unread(shown, bad);
    if text.trim_start().starts_with(['{', '[']) {
        let text = strict::check(text.as_bytes()).map_err(|bad| {
            let flaw = bad.to_string().replace("the body ", "");
            CliError::failed(format!("{shown} {flaw}"), "export it again, whole")
        })?;
        let (shape, members) = json::parse(text).map_err(unreadable)?;
        let format = match shape {
            Shape::Plain => Format::Json,
            Shape::Vault => Format::Vault,
            Shape::Infisical => Format::Infisical,
            Shape::Doppler => Format::Doppler,
            Shape::Sealed => Format::Sealed,
        };
        return Ok((format, members, Vec::new()));
    }
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let first = text.lines().find(is_content).unwrap_or_default();
    if csv::is_heading(first) {
        let members = csv::parse(text).map_err(unreadable)?;
        return Ok((Format::Csv, members, Vec::new()));
    }
    if dotenv::is_assignment(first) {
        let entries = dotenv::parse(text).map_err(unreadable)?;
        let referring = entries.iter().filter(|one| one.refers).map(|one| one.name.clone()).collect();
        let members = entries.into_iter().map(|one| (one.name, Node::Text(one.value))).collect();
        return Ok((Format::Dotenv, members, referring));
    }
    if first.starts_with("---") || first.contains(':') {
        return Ok((Format::Yaml, yaml::parse(text).map_err(unreadable)?, Vec::new()));
    }
    Err(CliError::failed(format!("{shown} has no known format"), KNOWN))
}

fn unread(shown: &str, bad: Unreadable) -> CliError {
    let hint = match bad.flaw {
        "has text after a closing quote" => {
            "a quote inside the value must be escaped; `infisical export --format=json` always can be read"
        }
        _ => "export it again, or mend that line; nothing was changed",
    };
    let sep = if bad.line > 0 { ":" } else { "" };
    CliError::failed(format!("{shown}{sep} {bad}"), hint)
}

fn any(node: &Node, is: &impl Fn(&Node) -> bool) -> bool {
    is(node)
        || match node {
            Node::Text(_) | Node::Plain(_) => false,
            Node::Map(members) => members.iter().any(|(_, node)| any(node, is)),
            Node::List(items) => items.iter().any(|node| any(node, is)),
        }
}

/// Drops the variables by which Doppler describes its own export.
fn without_doppler(format: Format, members: Members) -> (Format, Members) {
    let is_own = |name: &str| OF_DOPPLER.contains(&name);
    if members.iter().filter(|(name, _)| is_own(name)).count() < OF_DOPPLER.len() {
        return (format, members);
    }
    (Format::Doppler, members.into_iter().filter(|(name, _)| !is_own(name)).collect())
}

fn found((name, node): (String, Node)) -> Found {
    let content = match node {
        Node::Map(members) => {
            let mut fields = Vec::new();
            flatten("", members, &mut fields);
            Content::Several(fields)
        }
        other => Content::One(other.into_text()),
    };
    Found { name, content }
}

/// Joins nested names with underscores.
fn flatten(before: &str, members: Members, fields: &mut Vec<(String, Zeroizing<String>)>) {
    for (name, node) in members {
        let name = if before.is_empty() { name } else { format!("{before}_{name}") };
        match node {
            Node::Map(members) => flatten(&name, members, fields),
            other => fields.push((name, other.into_text())),
        }
    }
}

/// Keeps one of each name: an equal value twice is one, two values are an error.
fn once(found: Vec<Found>, shown: &str) -> Result<Vec<Found>, CliError> {
    let mut names = HashSet::new();
    let mut kept: Vec<Found> = Vec::new();
    for one in found {
        if let Content::Several(fields) = &one.content {
            let mut known = HashSet::new();
            if let Some((field, _)) = fields.iter().find(|(field, _)| !known.insert(field.as_str())) {
                return Err(twice(&format!("{}.{field}", one.name), shown));
            }
        }
        if names.insert(one.name.clone()) {
            kept.push(one);
        } else if !kept.iter().any(|known| known.name == one.name && equal(&known.content, &one.content)) {
            return Err(twice(&one.name, shown));
        }
    }
    Ok(kept)
}

fn equal(one: &Content, other: &Content) -> bool {
    match (one, other) {
        (Content::One(one), Content::One(other)) => **one == **other,
        (Content::Several(_), _) | (_, Content::Several(_)) => false,
    }
}

pub(super) fn twice(name: &str, shown: &str) -> CliError {
    CliError::failed(
        format!("{shown} has two values for {}", shortened(name)),
        "remove one of them; nothing was changed",
    )
}

/// Returns a name as a message shows it: on one line, and no longer than a name is.
pub(super) fn shortened(name: &str) -> String {
    on_one_line(name).chars().take(NAME_SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> (String, Vec<String>) {
        match read(text, "FILE") {
            Ok(Input::Tool(values)) => {
                (values.format.to_owned(), values.found.into_iter().map(|one| one.name).collect())
            }
            Ok(Input::Own(_)) => ("own".to_owned(), Vec::new()),
            Err(error) => (format!("{}; {}", error.message, error.hint), Vec::new()),
        }
    }

    #[test]
    fn a_format_is_known_by_its_content() {
        let doppler = r#"{"DOPPLER_CONFIG":"dev","DOPPLER_ENVIRONMENT":"dev","DOPPLER_PROJECT":"p","A":"x"}"#;
        let dotted = "DOPPLER_CONFIG=\"dev\"\nDOPPLER_ENVIRONMENT=\"dev\"\nDOPPLER_PROJECT=\"p\"\nA=\"x\"\n";
        for (text, format, names) in [
            ("A=x\nB=y\nA=x\n", ".env", &["A", "B"][..]),
            ("# c\nexport A='x: y'\n", ".env", &["A"]),
            ("{\"A\":\"x\"}", "JSON", &["A"]),
            ("A: x\ndb:\n  user: u\n", "YAML", &["A", "db"]),
            ("Key,Value\nA,x\n", "CSV of Infisical", &["A"]),
            ("[{\"key\":\"A\",\"value\":\"x\"}]", "JSON of Infisical", &["A"]),
            (doppler, "Doppler", &["A"]),
            (dotted, "Doppler", &["A"]),
        ] {
            assert_eq!(
                values(text),
                (format.to_owned(), names.iter().map(|name| (*name).to_owned()).collect())
            );
        }
    }

    #[test]
    fn what_is_not_read_says_why() {
        for (text, said) in [
            ("", "FILE is empty; it reads `sealroom export`"),
            (" \n", "FILE is empty"),
            ("just words", "no known format; it reads"),
            ("A=zq1\nA=zq2", "two values for A;"),
            ("{\"A\":1,\"A\":2}", "duplicate key"),
            ("{\"A\":", "ends too early"),
            ("{}", "has no values"),
            ("A: ENC[AES256_GCM,data:zq1,type:str]\n", "still encrypted by SOPS; decrypt it"),
            ("a:\n  b: [\"ENC[AES256_GCM,data:zq1]\"]\n", "still encrypted"),
            ("{\"A\":\"ENC[AES256_GCM,zq1]\",\"sops\":{\"mac\":\"zq1\"}}", "still encrypted"),
            ("A=ENC[AES256_GCM,data:zq1]", "still encrypted"),
            ("a:\n  b_c: zq1\n  b:\n    c: zq2\n", "two values for a.b_c"),
            ("A='zq1'zq1", "FILE: line 1 has text after a closing quote; a quote inside"),
        ] {
            let (message, _) = values(text);
            assert!(message.contains(said) && !message.contains("zq"), "{text:?}: {message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_no_value_is_in_the_error(
            text in r#"(zqz|[A-D={}\[\]":,'\n #|>-]){0,50}"#,
        ) {
            let (said, _) = values(&text);
            // Only a repeated name may be shown, and a name of letters alone can be one.
            prop_assert!(!said.contains("zqz") || said.contains("two values for"), "{}", said);
        }
    }
}
