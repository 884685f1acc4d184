//! The house rules that a compiler does not check.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file past this is two ideas.
const LINES_MAX: usize = 400;

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn no_source_file_is_longer_than_one_idea() {
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines, more than {LINES_MAX}", path.display());
    }
}

/// Which layer a module of the crate's root is in; an import may only point down.
const LAYERS: &[(&str, u8)] = &[
    ("domain", 0),
    ("crypto", 1),
    ("config", 1),
    ("api", 1),
    ("stats", 1),
    ("audit", 2),
    ("auth", 2),
    ("storage", 3),
    ("vault", 4),
    ("clock", 5),
    ("http", 5),
    ("client", 5),
    ("cli", 6),
];

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// The modules of the crate's root that a text names, also inside `use crate::{…}`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => word.clear(),
                    c if depth == 0 && (c.is_alphanumeric() || c == '_') => {
                        word.push(c);
                        continue;
                    }
                    _ => {}
                }
                if !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
            }
        } else {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

/// The code of a file without its tests, comments and doc comments.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]").next().unwrap();
    before_tests.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What is wrong with one file.
fn breaches(path: &Path, text: &str) -> Vec<String> {
    let code = code(text);
    let shown = path.to_string_lossy().replace('\\', "/");
    let module = shown.split('/').next().unwrap().trim_end_matches(".rs");
    let mut found = Vec::new();
    if let Some(own) = layer(module) {
        for import in imports(&code) {
            if layer(&import).is_some_and(|other| other > own) {
                found.push(format!("{shown} imports {import}, which is above it"));
            }
        }
    }
    let known_to_client = ["api", "domain", "clock", "client"];
    if module == "client" {
        let foreign = imports(&code).into_iter().filter(|import| layer(import).is_some());
        let foreign = foreign.filter(|import| !known_to_client.contains(&import.as_str()));
        found.extend(foreign.map(|import| format!("{shown} knows {import}, which only the server has")));
    }
    if code.contains("from_utf8_lossy") && code.contains("Secret") {
        found.push(format!("{shown} repairs text where there are secrets: two secrets become one"));
    }
    if module == "http" && code.contains("crate::storage") {
        found.push(format!("{shown} names the storage"));
    }
    for (word, home) in [
        (".unwrap()", "nowhere"),
        ("println!(", "cli/output.rs"),
        ("print!(", "cli/output.rs"),
        ("SystemTime::now", "clock.rs"),
        ("Instant::now", "clock.rs"),
        ("getrandom::", "crypto/random.rs"),
        ("argon2::", "crypto/"),
        ("aes_gcm::", "crypto/"),
        ("chacha20poly1305::", "crypto/"),
        ("ed25519_dalek::", "crypto/"),
        ("sha2::", "crypto/"),
        ("icu_normalizer::", "auth/spelling.rs"),
        ("bincode::", "storage/codec.rs"),
        ("todo!(", "nowhere"),
        ("tcsetattr", "cli/prompt/terminal.rs"),
        ("rpassword::", "cli/prompt.rs"),
        ("comfy_table::", "cli/table.rs"),
        ("etcetera::", "client/session.rs"),
        ("hyper::client", "client/connect.rs"),
    ] {
        if code.contains(word) && !shown.starts_with(home) {
            found.push(format!("{shown} has {word} which belongs into {home}"));
        }
    }
    found
}

#[test]
fn every_import_points_down_and_every_tool_is_in_its_home() {
    let sources = all_sources();
    // A file of tests is under `#[cfg(test)]` where it is declared.
    let code = sources.iter().filter(|(path, _)| !path.ends_with("tests.rs"));
    let found: Vec<String> = code.flat_map(|(path, text)| breaches(path, text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_rules_can_be_broken() {
    for (path, text) in [
        ("domain/x.rs", "use crate::http::Server;"),
        ("auth/x.rs", "use crate::{\n    domain::Email,\n    vault::{Error, Vault},\n};"),
        ("http/x.rs", "use crate::storage::View;"),
        ("vault/x.rs", "let now = std::time::SystemTime::now();"),
        ("vault/x.rs", "value.unwrap();"),
        ("http/x.rs", "println!(\"x\");"),
        ("storage/x.rs", "bincode::encode();"),
        ("auth/x.rs", "use sha2::Sha256;"),
        ("client/x.rs", "use crate::vault::Vault;"),
        ("client/x.rs", "use crate::{\n    auth::token,\n    domain::Secret,\n};"),
        ("cli/x.rs", "use crate::domain::Secret;\nlet text = String::from_utf8_lossy(bytes);"),
        ("cli/login.rs", "rpassword::prompt_password(text)"),
        ("cli/x.rs", "let table = comfy_table::Table::new();"),
    ] {
        assert_eq!(breaches(Path::new(path), text).len(), 1, "{path}: {text}");
    }
    assert!(breaches(Path::new("cli/x.rs"), "use crate::{http::Server, storage::file};").is_empty());
}

#[test]
fn the_readme_explains_every_audit_action() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = readme.split("## What is recorded").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut explained = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let mut noun = "";
        for name in row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2) {
            match name.strip_prefix('.') {
                Some(verb) => explained.push(format!("{noun}.{verb}")),
                None => {
                    noun = name.split('.').next().unwrap();
                    explained.push(name.to_owned());
                }
            }
        }
    }
    for action in sealroom::domain::Action::ALL {
        assert!(explained.contains(&action.to_string()), "{action} is not explained");
    }
    assert_eq!(explained.len(), sealroom::domain::Action::ALL.len(), "{explained:?}");
}
