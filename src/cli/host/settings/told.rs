//! The settings that differ from the defaults, each with its source, for the log.
//!
//! A setting that concerns a secret names its file. The path of a webhook and the arguments of a command may be secrets
//! of their own, and are left out.

use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};

use toml::{Table, Value};

use super::args::Args;

/// Every setting with its default, or an example where there is none.
const EXAMPLE: &str = include_str!("../../../../config.example.toml");
/// The settings without a fixed default: any value of these differs from it.
const WITHOUT_DEFAULT: &[&str] = &[
    "trusted_proxies",
    "host_names",
    "tls_cert",
    "tls_key",
    "passphrase_file",
    "worker_threads",
    "checkpoint.folder",
    "backup.folder",
    "archive.folder",
    "outgoing.ca_file",
    "notify.url",
    "notify.secret_file",
    "notify.command",
    "witness.for",
    "witness.policy",
];

/// Returns one text a setting, in the order of their names: `queue_max = 9 (--queue-max)`.
pub(super) fn told(args: &Args) -> Vec<String> {
    let mut example = flat(&uncommented());
    // Those belong to other commands.
    example.retain(|key, _| !key.starts_with("client.") && key != "strict_env");
    let mut set: BTreeMap<&str, (String, String)> = BTreeMap::new();
    if let Some(path) = &args.config {
        let in_file = in_file(path);
        let known = example.keys().filter_map(|key| Some((key.as_str(), in_file.get(key)?)));
        set.extend(known.map(|(key, text)| (key, (text.clone(), path.display().to_string()))));
    }
    for (id, text) in args.given.values() {
        // A flag of no setting, such as --accept-clock, concerns one start only.
        if let Some(key) = example.keys().find(|key| id_of(key) == *id) {
            let source = args.given.source(id, "", None).to_string();
            set.insert(key, (text.clone(), source));
        }
    }
    let differs = |key: &str, text: &str| WITHOUT_DEFAULT.contains(&key) || example[key] != text;
    let set = set.into_iter().filter(|(key, (text, _))| differs(key, text));
    set.map(|(key, (text, source))| format!("{key} = {} ({source})", public(key, &text))).collect()
}

/// Returns the part of a value that anybody may see.
fn public<'a>(key: &str, text: &'a str) -> Cow<'a, str> {
    let cut =
        |end: usize| if end < text.len() { Cow::from(format!("{}…", &text[..end])) } else { text.into() };
    match key {
        "notify.url" => {
            let host = text.find("://").map_or(0, |at| at + 3);
            cut(text[host..].find(['/', '?', '#']).map_or(text.len(), |at| host + at))
        }
        "notify.command" => cut(text.find(',').unwrap_or(text.len())),
        _ => text.into(),
    }
}

/// Returns the name of the flag of a setting: that of its table is a part of it, except for limits.
fn id_of(key: &str) -> String {
    key.strip_prefix("limits.").unwrap_or(key).replace('.', "_")
}

fn uncommented() -> Table {
    let lines = EXAMPLE.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    text.parse().expect("the example is TOML, which a test checks")
}

/// Returns the settings of a file that was read before; it may have gone meanwhile.
fn in_file(path: &Path) -> BTreeMap<String, String> {
    let table = fs::read_to_string(path).ok().and_then(|text| text.parse::<Table>().ok());
    flat(&table.unwrap_or_default())
}

fn flat(table: &Table) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (key, value) in table {
        if let Value::Table(inner) = value {
            all.extend(inner.iter().map(|(name, value)| (format!("{key}.{name}"), text_of(value))));
        } else {
            all.insert(key.clone(), text_of(value));
        }
    }
    all
}

/// Returns a value as a flag has it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(values) => values.iter().map(text_of).collect::<Vec<_>>().join(","),
        Value::Table(_) => "{…}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn told_of(args: &[&str]) -> Vec<String> {
        told(&Command::parse_from(std::iter::once(&"serve").chain(args)).args)
    }

    #[test]
    fn only_what_differs_from_the_default_is_told_with_its_source() {
        assert_eq!(told_of(&[]), [""; 0]);
        assert_eq!(told_of(&["--log-level", "info", "--queue-max", "4096", "--accept-clock"]), [""; 0]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        let text = "queue = 1\nlisten = \"unix:s\"\nhost_names = [\"a\", \"b\"]\n[limits]\nqueue_max = 4096\n\
                    body_bytes_max = 9000\n[backup]\nfolder = \"/mnt/elsewhere/backups\"\nkeep = 7\n";
        fs::write(&file, text).unwrap();
        let shown = file.display().to_string();
        let set = told_of(&["--config", &shown, "--body-bytes-max", "9001", "--backup-keep", "8"]);
        let expected = [
            format!("backup.folder = /mnt/elsewhere/backups ({shown})"),
            "backup.keep = 8 (--backup-keep)".to_owned(),
            format!("host_names = a,b ({shown})"),
            "limits.body_bytes_max = 9001 (--body-bytes-max)".to_owned(),
            format!("listen = unix:s ({shown})"),
        ];
        assert_eq!(set, expected);
    }

    #[test]
    fn no_path_of_a_webhook_and_no_argument_of_a_command_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        for (url, shown) in [
            ("https://hooks.example/services/SECRET?k=SECRET", "https://hooks.example…"),
            ("https://hooks.example:8443?SECRET", "https://hooks.example:8443…"),
            ("https://hooks.example#SECRET", "https://hooks.example…"),
            ("https://hooks.example", "https://hooks.example"),
            ("/SECRET", "…"),
        ] {
            let text = format!("[notify]\nurl = \"{url}\"\ncommand = [\"/bin/alert\", \"--token=SECRET\"]\n");
            fs::write(&file, text).unwrap();
            let path = file.display().to_string();
            let expected =
                [format!("notify.command = /bin/alert… ({path})"), format!("notify.url = {shown} ({path})")];
            assert_eq!(told_of(&["--config", &path]), expected);
        }
    }

    #[test]
    fn every_flag_with_a_variable_is_a_setting_that_is_told() {
        let known: Vec<String> = flat(&uncommented()).keys().map(|key| id_of(key)).collect();
        for arg in Command::command().get_arguments() {
            let id = arg.get_id().as_str();
            if arg.get_env().is_some() && id != "config" {
                assert!(known.iter().any(|known| known == id), "{id}");
            }
        }
    }
}
