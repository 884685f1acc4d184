//! Key, checkpoints and receipts: the inputs of a verifier besides the log.
//!
//! Reads each, and distinguishes transport damage from a signature that does not verify.

use std::{
    fs,
    io::{BufRead, Read},
    path::{Path, PathBuf},
};

use super::{args::Args, failure::failed, input::Input};
use crate::{
    audit::{
        checkpoint::{self, BadNote, Checkpoint, NOTE_BYTES_MAX, VerifierKey},
        key_ring::{self, KeyRing, successor},
        receipt::{self, LABEL, Receipt},
        transport::{self, Damage},
    },
    cli::error::CliError,
};

/// Maximum size of a key's file: a key has some hundred bytes.
const KEY_BYTES_MAX: usize = 64 * 1024;
/// Size of the pieces in which a log without line ends is searched.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Maximum length of a receipts header: one that begins nearer to a piece's end is searched with the next piece.
const RECEIPTS_BYTES_MAX: usize = 8 * 1024;

/// Reads the key itself, or the file that holds it.
pub(super) fn read_key(text: &str) -> Result<VerifierKey, CliError> {
    if let Ok(key) = text.trim().parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    let hint = "pass what `init` printed, like sealroom/…+…+…, or a file that holds it";
    if !super::input::is_standard_input(path) && !path.exists() {
        let damage = transport::of_key(text.as_bytes());
        let cause = damage
            .map_or_else(|| "neither a verifier key nor a file".to_owned(), |damage| damage.to_string());
        return Err(CliError::usage(format!("--key: {cause}"), hint));
    }
    let input = Input::open(path)?;
    let name = input.name().to_owned();
    let bytes = input.into_text(KEY_BYTES_MAX, "verifier key")?;
    if let Some(damage) = transport::of_key(&bytes) {
        return Err(harmed(&format!("--key {name}"), damage));
    }
    checkpoint::only_key(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
        let cause = if bytes.is_empty() { "it is empty" } else { "it does not contain one verifier key" };
        CliError::usage(format!("--key {name}: {cause}"), hint)
    })
}

/// Reads all receipts in a text.
pub(super) fn read_receipts(path: &Path) -> Result<Vec<Receipt>, CliError> {
    let input = Input::open(path)?;
    let name = input.name().to_owned();
    if let Some(damage @ (Damage::Utf16 | Damage::Compressed { .. })) = transport::of_start(input.start()) {
        let hint = match damage {
            Damage::Compressed { with } => format!("`{with} FILE`, and pass --receipts - to read from that"),
            _ => damage.remedy(),
        };
        return Err(CliError::failed(format!("--receipts {name}: {damage}"), hint));
    }
    let mut reader = input.into_reader();
    let (mut found, mut line) = (Vec::new(), Vec::new());
    loop {
        let read = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let read =
            read.map_err(|error| CliError::failed(format!("{name}: {error}"), "check what writes it"))?;
        // A piece of a line may end within a receipt.
        let end = if read == 0 || line.ends_with(b"\n") { line.len() } else { whole_receipts(&line) };
        found.extend(receipt::find_in(&String::from_utf8_lossy(&line[..end])));
        line.drain(..end);
        if read == 0 {
            break;
        }
    }
    if found.is_empty() {
        let hint = "a receipt is `audit-receipt: <sequence>:<hash>`; check that this is the right file";
        return Err(CliError::failed(format!("{name}: it contains no receipt"), hint));
    }
    Ok(found)
}

/// Returns the length of the searchable part of an unfinished line: up to its last receipts, which may continue.
fn whole_receipts(piece: &[u8]) -> usize {
    let near = piece.len().saturating_sub(RECEIPTS_BYTES_MAX);
    let last = piece[near..].windows(LABEL.len()).rposition(|bytes| bytes == LABEL.as_bytes());
    last.map_or_else(|| piece.len().saturating_sub(LABEL.len()), |at| near + at)
}

/// A checkpoint from elsewhere, as it was read.
pub(super) struct Note {
    name: String,
    text: Vec<u8>,
}

impl Note {
    /// Returns its text, unless it is none.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.text).ok()
    }
}

/// Reads the checkpoints of a file, or of all files in a folder. A file may hold several, one after the other, such as
/// the handovers before its newest.
pub(super) fn read_notes(args: &Args) -> Result<Vec<Note>, CliError> {
    let Some(path) = &args.checkpoint else { return Ok(Vec::new()) };
    let paths = if path.is_dir() { in_folder(path)? } else { vec![path.clone()] };
    let mut found = Vec::new();
    for path in paths {
        let input = Input::open(&path)?;
        let name = input.name().to_owned();
        let text = input.into_text(NOTE_BYTES_MAX, "checkpoint")?;
        match std::str::from_utf8(&text).map(key_ring::notes) {
            Ok(notes) if notes.len() > 1 && notes.iter().all(|note| is_note(note)) => {
                found.extend(notes.into_iter().map(|text| Note { name: name.clone(), text: text.into() }));
            }
            Ok(_) | Err(_) => found.push(Note { name, text }),
        }
    }
    Ok(found)
}

fn is_note(text: &str) -> bool {
    checkpoint::read_unsigned(text).is_ok()
}

/// Returns the ring of a key, with the successors to which handovers from here and there lead.
pub(super) fn ring(key: VerifierKey, own: &[String], notes: &[Note]) -> KeyRing {
    let kept = notes.iter().filter_map(|note| String::from_utf8(note.text.clone()).ok());
    KeyRing::following(key, &own.iter().cloned().chain(kept).collect::<Vec<_>>())
}

/// Opens those of the checkpoints that belong to this log.
pub(super) fn kept_checkpoints(
    args: &Args,
    notes: &[Note],
    keys: Option<&KeyRing>,
    first: u64,
) -> Result<Vec<Checkpoint>, CliError> {
    let Some(path) = &args.checkpoint else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for note in notes {
        let unsigned = checkpoint::read_unsigned(&transport::mended_note(&note.text));
        // A folder may hold the checkpoints of several vaults: the others say nothing about this one.
        let is_foreign = |keys: &KeyRing| unsigned.as_ref().is_ok_and(|note| note.origin != keys.name());
        if path.is_dir() && keys.is_some_and(is_foreign) {
            continue;
        }
        match open_kept(&note.name, &note.text, keys) {
            // Its signatures lead from key to key, also once the records before it are archived.
            Ok(kept) if path.is_dir() && kept.size < first && successor(&kept).is_some() => {}
            Ok(kept) => found.push(kept),
            // A handover between two keys before the one that was given.
            Err(Unopened { error: Some(BadNote::Unknown), .. })
                if notes.len() > 1 && unsigned.is_ok_and(|note| successor(&note).is_some()) => {}
            Err(unopened) => return Err(unopened.told),
        }
    }
    if found.is_empty() {
        let hint = "pass the folder of this vault's checkpoints";
        return Err(failed(path, "no checkpoint in this folder belongs to this log", hint));
    }
    Ok(found)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let entries = fs::read_dir(folder);
    let entries = entries.map_err(|error| failed(folder, &error.to_string(), "check the folder's mode"))?;
    // A file that the server is just writing, or an unrelated one, is no checkpoint.
    let is_ours = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "checkpoint");
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths.filter(|path| is_ours(path) && path.is_file()).collect();
    paths.sort();
    if paths.is_empty() {
        let hint = "is the share mounted? a checkpoint's name ends with .checkpoint";
        return Err(failed(folder, "this folder contains no checkpoint", hint));
    }
    Ok(paths)
}

/// A checkpoint from elsewhere that does not open.
struct Unopened {
    error: Option<BadNote>,
    told: CliError,
}

/// Opens a checkpoint from elsewhere, and distinguishes transport damage from a signature that does not verify.
fn open_kept(name: &str, note: &[u8], keys: Option<&KeyRing>) -> Result<Checkpoint, Unopened> {
    let refused = |error| Unopened { error: Some(error), told: not_ours(name, error) };
    let Some(damage) = transport::of_note(note) else {
        return open_note(&String::from_utf8_lossy(note), keys).map_err(refused);
    };
    match open_note(&transport::mended_note(note), keys) {
        Ok(_) => {
            let message = format!("{name}: {damage}; apart from that it is a checkpoint as it was signed");
            let message = if keys.is_some() { message } else { format!("{name}: {damage}") };
            Err(Unopened { error: None, told: CliError::failed(message, damage.remedy()) })
        }
        Err(_) if matches!(damage, Damage::Json | Damage::Encoding | Damage::Compressed { .. }) => {
            Err(Unopened { error: None, told: harmed(name, damage) })
        }
        Err(error) => Err(refused(error)),
    }
}

pub(super) fn open_note(note: &str, keys: Option<&KeyRing>) -> Result<Checkpoint, BadNote> {
    match keys {
        Some(keys) => keys.open(note),
        None => checkpoint::read_unsigned(note),
    }
}

/// Reports an input that transport damaged, which is no sign of forgery.
pub(super) fn harmed(name: &str, damage: Damage) -> CliError {
    CliError::failed(format!("{name}: {damage}"), damage.remedy())
}

pub(super) fn not_ours(what: &str, error: BadNote) -> CliError {
    let hint = match error {
        BadNote::Malformed => "name a file that `sealroom audit checkpoint` wrote, or a checkpoint folder",
        BadNote::Unknown => "check --key and --checkpoint: they belong to one vault",
        BadNote::BadSignature => {
            "its text is not what this key signed: keep it as evidence, and compare it with another copy"
        }
        BadNote::Ended { .. } => {
            "a copy of the file from before a restore or rekey has gone on alone, or this file is that copy"
        }
    };
    CliError::failed(format!("{what}: {error}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_found_wherever_a_line_without_end_is_cut() {
        let line = format!("audit-receipt: 7:{}=", "A".repeat(43));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let limit = usize::try_from(LINE_BYTES_MAX).unwrap();
        for before in
            [limit - 80, limit - 61, limit - 30, limit - 14, limit - 5, limit - 1, limit, 2 * limit - 20]
        {
            let text = format!("{} {line} {}", "x".repeat(before - 1), "y".repeat(100));
            fs::write(&path, text).unwrap();
            let found = read_receipts(&path).map_err(|error| error.message).unwrap();
            assert_eq!(found, receipt::find_in(&line), "{before}");
        }
    }
}
