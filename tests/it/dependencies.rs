//! `.deny.toml` and the copy of the advisories agree with the dependencies.

use std::{collections::BTreeSet, fs, path::Path};

use toml::Table;

use crate::support::source::files;

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn table(path: &str) -> Table {
    text(path).parse().unwrap()
}

fn list(of: &Table, section: &str, key: &str) -> Vec<Table> {
    let entries = of[section][key].as_array().unwrap();
    entries.iter().map(|entry| entry.as_table().unwrap().clone()).collect()
}

fn word<'a>(of: &'a Table, key: &str) -> &'a str {
    of[key].as_str().unwrap()
}

/// Name and version of each package that is built.
fn locked() -> BTreeSet<(String, String)> {
    let lock = table("Cargo.lock");
    let packages = lock["package"].as_array().unwrap().iter().map(|package| package.as_table().unwrap());
    packages.map(|package| (word(package, "name").to_owned(), word(package, "version").to_owned())).collect()
}

/// Returns the advisories of the copy that ask for action, as package and id, in the order of the ids.
fn unpatched() -> Vec<(String, String)> {
    let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/advisory-db/crates");
    let folders = fs::read_dir(copy).unwrap().map(|folder| folder.unwrap().path());
    let notes = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|note| note.unwrap().path()));
    let mut found = Vec::new();
    for note in notes {
        let note = fs::read_to_string(note).unwrap();
        let fields: Table = note.split("```").nth(1).unwrap().trim_start_matches("toml").parse().unwrap();
        let (advisory, versions) = (fields["advisory"].as_table().unwrap(), fields["versions"].as_table());
        let is_empty = |key: &str| {
            let list = versions.and_then(|versions| versions.get(key)).and_then(|list| list.as_array());
            list.is_none_or(Vec::is_empty)
        };
        if is_empty("patched") && is_empty("unaffected") && !advisory.contains_key("withdrawn") {
            found.push((word(advisory, "package").to_owned(), word(advisory, "id").to_owned()));
        }
    }
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found
}

#[test]
fn no_exception_outlives_what_it_excepts_and_no_advisory_without_a_patch_is_passed_over() {
    let (deny, locked) = (table(".deny.toml"), locked());
    let names: BTreeSet<_> = locked.iter().map(|(name, _)| name.as_str()).collect();
    let ignored: Vec<_> =
        list(&deny, "advisories", "ignore").iter().map(|entry| word(entry, "id").to_owned()).collect();
    let due: Vec<_> =
        unpatched().into_iter().filter(|(package, _)| names.contains(package.as_str())).collect();
    let ids: Vec<_> = due.iter().map(|(_, id)| id.clone()).collect();
    assert_eq!(ids, ignored, "`ignore` of .deny.toml beside the copy in .ci/advisory-db: {due:?}");
    for entry in list(&deny, "bans", "skip") {
        let (name, version) = word(&entry, "crate").split_once('@').unwrap();
        let versions: Vec<_> = locked.iter().filter(|(found, _)| found == name).collect();
        let skipped = versions.iter().filter(|(_, found)| found.starts_with(&format!("{version}."))).count();
        assert!(skipped == 1 && versions.len() > 1, "{name}@{version} is no second version: {versions:?}");
    }
    for entry in list(&deny, "bans", "deny") {
        assert!(!names.contains(word(&entry, "name")), "{entry:?}");
    }
}

#[test]
fn the_copy_of_the_advisories_knows_each_package() {
    let names: BTreeSet<_> = locked().into_iter().map(|(name, _)| name).collect();
    let known: BTreeSet<_> = text(".ci/advisory-db/packages").lines().map(str::to_owned).collect();
    let missing: Vec<_> = names.difference(&known).collect();
    assert!(missing.is_empty(), "run `.ci/advisories refresh`: {missing:?}");
    let deny = table(".deny.toml");
    assert_eq!(word(deny["bans"].as_table().unwrap(), "multiple-versions"), "deny");
    let run = text(".ci/run");
    assert!(run.contains(".ci/advisories") && run.contains("cargo deny"), "nothing checks the advisories");
}

/// The review found a comment that was not true. What it says now is what the sources do.
#[test]
fn no_reason_of_an_ignored_advisory_claims_what_the_code_does_not_do() {
    let deny = text(".deny.toml");
    let comment: Vec<_> = deny.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let comment = comment.join(" ");
    let (_, of_bincode) = comment.split_once("bincode 2.0.1: unmaintained").unwrap();
    assert!(locked().contains(&("bincode".to_owned(), "2.0.1".to_owned())));
    assert!(text("Cargo.toml").contains(r#"bincode = { version = "=2.0.1""#), "the owner fixed it");
    let uses = files("src").into_iter().filter(|(_, text)| text.contains("bincode::"));
    let uses: BTreeSet<_> = uses.map(|(path, _)| path).collect();
    let home = |path: &&String| path.starts_with("storage/format/codec");
    assert!(of_bincode.contains("named in src/storage/format/codec.rs alone"));
    assert!(uses.iter().all(|path| home(&path)), "{uses:?}");
    // Key slots and the log's public keys are read before any key is known, within a limit.
    assert!(of_bincode.contains("except the key slots and the log's public keys"));
    assert!(of_bincode.contains("at most 1 MiB of each"));
    let codec = text("src/storage/format/codec.rs");
    assert!(codec.contains("const ROW_BYTES_MAX: usize = 1 << 20;"));
    let limited = "let limits = config::standard().with_limit::<ROW_BYTES_MAX>();";
    let read: Vec<_> = codec.match_indices("bincode::decode_").map(|(at, _)| &codec[at..]).collect();
    assert!(codec.contains(limited) && !read.is_empty());
    assert!(
        read.iter().all(|call| call.lines().next().unwrap().contains("limits")),
        "a read without a limit"
    );
    // One review is due, on one day.
    let days: BTreeSet<_> = deny
        .split(|byte: char| !(byte.is_ascii_digit() || byte == '-'))
        .filter(|word| word.len() == 10 && word.starts_with("20") && word.matches('-').count() == 2)
        .collect();
    assert_eq!(days.len(), 1, "{days:?}");
}
