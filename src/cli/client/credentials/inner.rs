//! Secrets within a value that is JSON itself, such as the key file of a service account or a Docker config: a program
//! prints the part that it uses, and not the whole.

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{api::Members, cli::client::credential_form::is_plain};

/// Minimum size of an inner text that is taken for a secret: shorter ones are mostly words, such as `prod`.
const INNER_BYTES_MIN: usize = 8;
/// Maximum nesting that is searched.
const DEPTH_MAX: usize = 16;
/// Members that name a kind or a place in the files of the large clouds.
const PLAIN: &[&str] = &[
    "apiVersion",
    "database",
    "dbname",
    "engine",
    "environment",
    "kind",
    "project",
    "project_id",
    "region",
    "region_name",
    "type",
    "universe_domain",
];

/// Returns the texts within a value that may be secrets; none if it is no JSON object or array.
pub(in crate::cli::client) fn secrets_within(value: &str) -> Vec<Zeroizing<String>> {
    let mut found = Vec::new();
    if value.trim_start().starts_with(['{', '[']) {
        search("", value, 0, &mut found);
    }
    found
}

fn search(name: &str, json: &str, depth: usize, found: &mut Vec<Zeroizing<String>>) {
    let json = json.trim_start();
    match json.as_bytes().first() {
        Some(b'{') if depth < DEPTH_MAX => {
            let Ok(Members(members)) = serde_json::from_str(json) else { return };
            members.iter().for_each(|(name, value)| search(name, value.get(), depth + 1, found));
        }
        Some(b'[') if depth < DEPTH_MAX => {
            let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) else { return };
            items.iter().for_each(|item| search(name, item.get(), depth + 1, found));
        }
        Some(b'"') if !is_place(name) => {
            let Ok(text) = serde_json::from_str::<String>(json).map(Zeroizing::new) else { return };
            if text.len() >= INNER_BYTES_MIN && !is_address(name, &text) {
                found.push(text);
            }
        }
        _ => {}
    }
}

fn is_place(name: &str) -> bool {
    is_plain(name) || PLAIN.contains(&name) || name.ends_with("email")
}

/// Returns whether a text is the address of a service: a URL without a password or a query, in a member that is named as
/// one. The path of a webhook's URL is its secret.
fn is_address(name: &str, text: &str) -> bool {
    let is_named = ["uri", "url", "endpoint"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    is_named && is_url && !text.contains(['@', '?']) && !name.to_ascii_lowercase().contains("hook")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str) -> Vec<String> {
        secrets_within(value).iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn each_secret_within_json_is_found_and_no_word_beside_it() {
        let account = r#" {"type": "service_account", "project_id": "acme-example", "private_key": "-----BEGIN\nzq1\n",
            "client_email": "ci@example.iam", "token_uri": "https://oauth2.example.com/token", "client_id": "1234567890"}"#;
        assert_eq!(found(account), ["-----BEGIN\nzq1\n"]);
        assert_eq!(
            found(
                r#"{"hook":"https://hooks.example.com/T0/zq1","webhook_url":"https://hooks.example.com/T0/zq2",
                "sas_url":"https://blob.example.com/a?sig=zq3","auth_uri":"https://example.com/o/oauth2"}"#
            ),
            [
                "https://hooks.example.com/T0/zq1",
                "https://hooks.example.com/T0/zq2",
                "https://blob.example.com/a?sig=zq3"
            ]
        );
        assert_eq!(found(r#"{"auths":{"ghcr.io":{"auth":"Ym9iOnpxMQ=="}}}"#), ["Ym9iOnpxMQ=="]);
        assert_eq!(
            found(r#"[{"dsn":"https://u:zq@example.com/1"},["zq-example"]]"#),
            ["https://u:zq@example.com/1", "zq-example"]
        );
        assert_eq!(
            found(r#"{"username":"bob-example","password":"hunter22","env":"prod","n":123456789}"#),
            ["hunter22"]
        );
    }

    #[test]
    fn what_is_no_json_has_no_parts() {
        for value in ["", "ghp_example", "\"zq-example\"", "{zq-example}", "[", "{\"a\":\"zq-example\"", "12"]
        {
            assert!(found(value).is_empty(), "{value}");
        }
        let deep = format!("{}\"zq-example\"{}", "[".repeat(40), "]".repeat(40));
        assert!(found(&deep).is_empty());
    }
}
