//! The examination of a whole file: reads everything once, names everything that is wrong, and changes nothing.
//!
//! Tables are read from one snapshot; the log is read in short ones up to the head of that snapshot, so that the file
//! of a running server does not grow meanwhile. Without a key the checks that need none run.

mod advice;
mod check;
mod links;
mod log;
mod rows;
#[cfg(test)]
mod tests;

pub use self::{
    advice::Surroundings,
    check::{Archived, Check, Findings, Read, Status},
};
use self::{
    log::{End, Log, walk},
    rows::{Rows, cause},
};
use super::{
    engine::Engine,
    error::StorageError,
    format::{
        head::{Head, LogKeys, decode_slots},
        tables::meta,
    },
    read::snapshot::Snapshot,
};
use crate::{
    audit::{
        checkpoint::{self, Checkpoint, VerifierKey},
        record,
        replay::{Compared, Replay, Tables},
    },
    crypto::{
        digest::sha256,
        keys::{Keys, SlotHeader},
    },
    domain::{FileId, Timestamp},
};

/// The checks of opened rows.
const ADVICE: [&str; 5] = ["owners", "tokens", "expiry", "urls", "scopes"];
/// The reason in a check that needs the vault key.
const NEEDS_KEY: &str = "needs the passphrase";

/// An examination under way.
pub(super) struct Examination<'a> {
    pub(super) engine: &'a Engine,
    pub(super) keys: Option<&'a Keys>,
    pub(super) file: FileId,
    pub(super) surroundings: Surroundings,
    /// True if a server writes to the file meanwhile.
    pub(super) is_live: bool,
    /// The records before the file's first one, if they are at hand.
    pub(super) archived: Option<&'a Archived<'a>>,
    pub(super) read: &'a Read<'a>,
}

/// `meta`, as far as it could be read.
struct Meta {
    findings: Findings,
    head: Option<Head>,
    slots: Vec<SlotHeader>,
    checkpoint: Option<Checkpoint>,
}

impl Examination<'_> {
    /// Runs every check, in the order of the report.
    pub(super) fn run(&self) -> Vec<Check> {
        let snapshot = match self.engine.snapshot() {
            Ok(snapshot) => snapshot,
            Err(error) => return vec![Check::new("head", Status::Failed, cause(&error))],
        };
        let meta = self.meta(&snapshot);
        let newest = newest_time(&snapshot);
        let first = meta.head.as_ref().map(|head| head.first_sequence).or_else(|| first_record(&snapshot));
        let Rows { digest, count, findings, mut links, tables, advice, .. } =
            Rows::of(&snapshot, self.keys, self.file, self.read);
        drop(snapshot);
        if self.keys.is_some() {
            links.finish();
        }
        // Before the log is read: what the links hold of every integration is free for the replay.
        let links = self.links(links);
        let mut replay = Replay::of(&tables);
        if let Some(archived) = self.archived {
            archived(&mut |sequence, record| replay.push(sequence, record));
        }
        let log = self.log(&meta, first.unwrap_or(0), &mut replay);
        let state = self.state(&meta, digest == meta.head.as_ref().map_or(digest, |head| head.state));
        let mut checks = vec![self.head(&meta), self.rows(findings, count)];
        checks.extend(links);
        checks.extend([state, log, self.replay(&replay, &tables)]);
        let now = self.surroundings.now;
        checks.push(advice::clock(newest, now));
        checks.push(advice::backup(&replay, now));
        checks.push(advice::recovery(&meta.slots));
        checks.push(advice::kdf(&meta.slots, self.surroundings.memory_bytes));
        if self.keys.is_some() {
            checks.extend(advice.checks(&replay, now));
        } else {
            checks.extend(ADVICE.map(|name| Check::skipped(name, NEEDS_KEY)));
        }
        checks
    }

    /// Reads slots, log keys, checkpoint and head; what does not read is a finding, and the rest goes on.
    fn meta(&self, snapshot: &Snapshot) -> Meta {
        let mut findings = Findings::default();
        let head = self.keys.and_then(|keys| {
            let sealed = snapshot.required_meta(meta::HEAD);
            noted(&mut findings, sealed.and_then(|sealed| Head::open(&sealed, keys, self.file)))
        });
        let slots = noted(&mut findings, snapshot.required_meta(meta::SLOTS)).unwrap_or_default();
        let log_keys = noted(&mut findings, snapshot.required_meta(meta::LOG_KEYS)).unwrap_or_default();
        if let Some(head) = &head {
            for (bytes, hash, name) in
                [(&slots, head.slots_hash, meta::SLOTS), (&log_keys, head.log_keys_hash, meta::LOG_KEYS)]
            {
                if sha256(bytes) != hash {
                    findings.add(format!("meta {name}: not as the head was sealed with it"));
                }
            }
        }
        let headers = noted(&mut findings, decode_slots(&slots)).unwrap_or_default();
        let checkpoint = noted(&mut findings, LogKeys::from_bytes(&log_keys))
            .and_then(|keys| noted(&mut findings, self.checkpoint(snapshot, &keys)));
        if let (Some(head), Some(signed)) = (&head, &checkpoint)
            && (signed.size, signed.root) != (head.frontier.size(), head.root)
        {
            findings.add("meta checkpoint: signs another log than the head holds");
        }
        let slots = headers.into_iter().map(|slot| slot.header).collect();
        Meta { findings, head, slots, checkpoint }
    }

    fn checkpoint(&self, snapshot: &Snapshot, keys: &LogKeys) -> Result<Checkpoint, StorageError> {
        let key = VerifierKey::new(&checkpoint::origin(self.file), keys.newest());
        let opened = checkpoint::open(&snapshot.checkpoint()?, &[key]);
        opened.map_err(|_| StorageError::tampered("meta", meta::CHECKPOINT))
    }

    fn head(&self, meta: &Meta) -> Check {
        let findings = meta.findings.lines();
        let good = match self.keys {
            Some(_) => "head, key slots, log keys and checkpoint agree",
            None => "key slots, log keys and checkpoint read; the head needs the passphrase",
        };
        let bad = "values that describe the file are damaged";
        Check::of("head", findings.iter().cloned().collect(), good, Status::Failed, bad)
    }

    fn rows(&self, findings: Findings, count: u64) -> Check {
        let (rows, status) = match self.keys {
            Some(_) => (format!("{}, each opens", counted(count, "row")), Status::Ok),
            None => (format!("{} read; opening them {NEEDS_KEY}", counted(count, "row")), Status::Skipped),
        };
        let check = Check::of("rows", findings, rows, Status::Failed, "rows are damaged");
        if check.status == Status::Ok { Check { status, ..check } } else { check }
    }

    fn links(&self, links: links::Links) -> [Check; 2] {
        let links::Links { credentials, entries, bad_credentials, bad_entries, .. } = links;
        let (blobs, index, status) = match self.keys {
            Some(_) => (
                format!("{}, each opens and belongs to an integration", counted(credentials, "credential")),
                format!("{}, each agrees in both directions", index_entries(entries)),
                Status::Ok,
            ),
            None => (
                format!(
                    "{}, each beside its integration; opening them {NEEDS_KEY}",
                    counted(credentials, "credential")
                ),
                format!("{} read; comparing them {NEEDS_KEY}", index_entries(entries)),
                Status::Skipped,
            ),
        };
        let blobs =
            Check::of("credentials", bad_credentials, blobs, Status::Failed, "credentials are damaged");
        let index = Check::of("indexes", bad_entries, index, Status::Failed, "entries are wrong");
        [blobs, index].map(|check| if check.status == Status::Ok { Check { status, ..check } } else { check })
    }

    fn state(&self, meta: &Meta, agrees: bool) -> Check {
        if self.keys.is_none() {
            return Check::skipped("state", NEEDS_KEY);
        }
        if meta.head.is_none() {
            return Check::skipped("state", "the head does not open");
        }
        if agrees {
            return Check::new("state", Status::Ok, "the rows are exactly those of the last commit");
        }
        let message = "the rows are not those of the last commit: rows were added, removed or put back";
        Check::new("state", Status::Failed, message)
    }

    fn log(&self, meta: &Meta, first: u64, replay: &mut Replay) -> Check {
        let head = meta.head.as_ref().map(|head| (head.frontier.size(), head.root));
        let signed = meta.checkpoint.as_ref().map(|signed| (signed.size, signed.root));
        let Some((size, root)) = head.or(signed) else {
            // Without an end there is still a log to read.
            let end = End { size: u64::MAX, root: [0; 32], is_last: false };
            walk(self.engine, first, &end, replay, self.read);
            return Check::skipped("log", "neither head nor checkpoint opens: nothing to compare with");
        };
        let end = End { size, root, is_last: !self.is_live };
        let Log { first, count, findings } = walk(self.engine, first, &end, replay, self.read);
        let archived = if first > 0 { format!(", {first} before them archived") } else { String::new() };
        let good = format!("{}, up to the signed root{archived}", counted(count, "record"));
        Check::of("log", findings, good, Status::Failed, "findings in the log")
    }

    fn replay(&self, replay: &Replay, tables: &Tables) -> Check {
        let Compared { explained, archived, unclear, unread, differences } = replay.compare(tables);
        let mut good = match self.keys {
            Some(_) => {
                format!("the log explains {}, and each event has its effect", counted(explained, "row"))
            }
            None => {
                format!("the log explains {}; comparing their content {NEEDS_KEY}", counted(explained, "row"))
            }
        };
        if archived > 0 {
            good = format!(
                "ok (archived): {good}; {archived} more are of archived events, and cannot be judged here"
            );
        }
        if unclear > 0 {
            good = format!("{good}; for {unclear} the records hold too little");
        }
        if unread > 0 {
            good = format!("{good}; {unread} records could not be read");
        }
        let bad = "differences between the tables and what the log says happened";
        Check::of("replay", differences.into_iter().collect(), good, Status::Failed, bad)
    }
}

/// Returns a number of index entries with its noun.
fn index_entries(number: u64) -> String {
    if number == 1 { "1 index entry".to_owned() } else { format!("{number} index entries") }
}

/// Returns a number with its noun, whose plural takes an s.
fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Turns an error into a finding.
fn noted<T>(findings: &mut Findings, result: Result<T, StorageError>) -> Option<T> {
    result.map_err(|error| findings.add(cause(&error))).ok()
}

fn newest_time(snapshot: &Snapshot) -> Option<Timestamp> {
    let newest = snapshot.records_before(u64::MAX, 1).ok()?;
    record::decode(&newest.first()?.1).ok().map(|record| record.time)
}

fn first_record(snapshot: &Snapshot) -> Option<u64> {
    let mut found = None;
    snapshot.audit_rows(0, 1, |sequence, _| found = Some(sequence)).ok()?;
    found
}
