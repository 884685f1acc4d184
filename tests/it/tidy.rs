//! The house rules that a compiler does not check.

use std::{fs, path::Path};

use crate::support::source::{Code, Uses, files};

/// A source file past this is two ideas.
const LINES_MAX: usize = 400;

#[test]
fn no_file_is_longer_than_one_idea() {
    for below in ["src", "tests", "examples"] {
        for (path, text) in files(below) {
            let lines = text.lines().count();
            assert!(lines <= LINES_MAX, "{below}/{path} has {lines} lines, more than {LINES_MAX}");
        }
    }
}

/// A file that a merge left behind was compiled by nobody, and read as if it were the code.
#[test]
fn no_source_file_is_left_out_of_the_program() {
    let all = files("src");
    for (path, _) in all.iter().filter(|(path, _)| path != "lib.rs" && path != "main.rs") {
        let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let (parents, name) = match module.rsplit_once('/') {
            Some((room, name)) => ([format!("{room}.rs"), format!("{room}/mod.rs")], name),
            None => (["lib.rs".to_owned(), "main.rs".to_owned()], module),
        };
        let declared = format!("mod {name};");
        let mut above = all.iter().filter(|(other, _)| parents.contains(other));
        assert!(above.any(|(_, text)| text.contains(&declared)), "src/{path}: nothing says `{declared}`");
    }
}

/// The layer of a module of the crate's root; an import may only point down.
const LAYERS: &[(&str, u8)] = &[
    ("domain", 0),
    ("crypto", 1),
    ("disk", 1),
    ("config", 1),
    ("api", 1),
    ("stats", 1),
    ("audit", 2),
    ("auth", 2),
    ("outgoing", 2),
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

/// Returns the faults of one file.
fn breaches(shown: &str, text: &str) -> Vec<String> {
    let code = Code::of(text);
    let (rooms, code) = (code.rooms(), code.spelt());
    let module = shown.split('/').next().unwrap().trim_end_matches(".rs");
    let mut found = Vec::new();
    if let Some(own) = layer(module) {
        for import in &rooms {
            if layer(import).is_some_and(|other| other > own) {
                found.push(format!("{shown} imports {import}, which is above it"));
            }
        }
    }
    let known_to_client = ["api", "domain", "clock", "client"];
    if module == "client" {
        let foreign = rooms.iter().filter(|import| layer(import).is_some());
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
        ("println!(", "cli/terminal/output.rs"),
        ("print!(", "cli/terminal/output.rs"),
        ("SystemTime::now", "clock.rs"),
        ("Instant::now", "clock.rs"),
        ("getrandom::", "crypto/random.rs"),
        ("argon2::", "crypto/"),
        ("aes_gcm::", "crypto/"),
        ("chacha20poly1305::", "crypto/"),
        ("ed25519_dalek::", "crypto/"),
        ("sha2::", "crypto/"),
        ("totp_rs::", "crypto/"),
        ("icu_normalizer::", "auth/spelling.rs"),
        ("bincode::", "storage/format/codec.rs"),
        ("todo!(", "nowhere"),
        ("tcsetattr", "cli/terminal/"),
        ("rpassword::", "cli/terminal/prompt.rs"),
        ("comfy_table::", "cli/terminal/table.rs"),
        ("etcetera::", "client/session.rs"),
        ("uzers::", "cli/host/host_actor.rs"),
        ("setrlimit(", "cli/host/"),
        ("landlock::{", "cli/host/sandbox/landlock.rs"),
        ("seccompiler::", "cli/host/sandbox/seccomp.rs"),
        ("libc::", "cli/host/sandbox/seccomp.rs"),
        ("RsaKeyPair", "crypto/"),
        ("rcgen::", "crypto/authority.rs"),
        ("hyper::client", "client/connect.rs or outgoing/session.rs"),
    ] {
        if code.contains(word) && !home.split(" or ").any(|home| shown.starts_with(home)) {
            found.push(format!("{shown} has {word} which belongs into {home}"));
        }
    }
    found
}

#[test]
fn every_import_points_down_and_every_tool_is_in_its_home() {
    let sources = files("src");
    // A file of tests is under `#[cfg(test)]` where it is declared.
    let code = sources.iter().filter(|(path, _)| !is_tests(path));
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
        ("vault/x.rs", "#[cfg(test)]\nmod tests;\nfn f() { value.unwrap(); }"),
        ("vault/x.rs", "#[cfg(test)]\nuse super::{a, b};\n#[cfg(test)]\nfn t<A, B>() {}\nuse crate::http;"),
        ("vault/x.rs", "struct S { #[cfg(test)] a: u8, b: u8 }\nfn f() { let s = \"crate::cli\"; todo!(s) }"),
    ] {
        assert_eq!(breaches(path, text).len(), 1, "{path}: {text}");
    }
    assert!(breaches("cli/x.rs", "use crate::{http::Server, storage::file};").is_empty());
}

fn is_tests(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

#[test]
fn no_files_of_one_room_use_each_other_in_a_circle() {
    let sources: Vec<_> = files("src").into_iter().filter(|(path, _)| !is_tests(path)).collect();
    let circles = Uses::of(&sources).circles();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_found_also_through_a_name_that_is_handed_on() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let circles = Uses::of(&[
        file("a/mod.rs", "mod b; mod c; mod d; pub use b::{B, other::X}; pub(crate) use c::C;"),
        file("a/b.rs", "use super::C;"),
        file("a/c.rs", "use crate::{a::{B, d::D}, x::Y};"),
        file("a/d.rs", "#[cfg(test)]\nuse super::B;"),
    ])
    .circles();
    assert_eq!(circles.len(), 1);
    assert!(circles[0].keys().eq(["a/b.rs", "a/c.rs"]), "{circles:?}");
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
