//! The committer: the head in memory, and the batches that advance it.
//!
//! [`BatchBuilder`] gathers the writes of a batch's jobs in order and commits them in one transaction: rows, records,
//! stored hashes, head and checkpoint. [`Committer`] advances its head only after the disk has.

use std::{
    cell::OnceCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

use super::{
    access_sum::AccessSum,
    date_changes::note_dates,
    handover::hand_over,
    job::{Announcement, Decision, Receipt},
    outcomes::{Failure, Gathered, JobIndex, Outcomes},
    rows::{Times, access_mark, access_rows, accesses_of, not_deleted, seal_changes, signed, split_meta},
};
use crate::{
    audit::{record, tree},
    crypto::{digest::sha256, sign::LogKey},
    domain::{Event, Timestamp},
    storage::{
        engine::{Batch, RowWrite},
        error::{CommitError, OpenError, StorageError},
        format::{
            head::Head,
            last_access::LastAccess,
            needs::Needs,
            tables::{Table, audit_row, meta},
        },
        read::{
            snapshot::{Snapshot, SubtreeHash},
            view::View,
        },
        state::{Overlay, VaultState},
    },
};

/// The writer's knowledge of the file.
pub(in crate::storage) struct Committer {
    source: Arc<VaultState>,
    log_key: LogKey,
    head: Head,
    sealed_head: Vec<u8>,
    /// The time of the last event when the last accesses were last written.
    accesses_written: Timestamp,
    /// The sum over the last accesses in their table.
    access_sum: AccessSum,
    /// The row version that the file says it needs.
    row_version: u8,
    /// `true` if the tail of the log may hold records.
    has_tail: bool,
    /// Set when a commit is in doubt and the file did not reopen; resolved before the next batch.
    doubt: Option<Next>,
}

/// The writer's knowledge of the file once a commit is on disk.
struct Next {
    head: Head,
    sealed_head: Vec<u8>,
    /// The new log key, if the commit hands the log over.
    log_key: Option<LogKey>,
    access_sum: AccessSum,
    /// The calls to make once it is.
    announcements: Vec<Announcement>,
}

impl Committer {
    pub(in crate::storage) fn new(
        source: Arc<VaultState>,
        log_key: LogKey,
        head: Head,
        sealed_head: Vec<u8>,
    ) -> Self {
        Self {
            source,
            log_key,
            head,
            sealed_head,
            accesses_written: Timestamp::from_millis(0),
            access_sum: AccessSum::default(),
            row_version: 1,
            has_tail: true,
            doubt: None,
        }
    }

    /// Takes over the row version that the file says it needs.
    pub(in crate::storage) fn with_row_version(self, row_version: u8) -> Self {
        Self { row_version, ..self }
    }

    /// Takes over the sum over the last accesses in their table.
    pub(in crate::storage) fn with_access_sum(self, access_sum: AccessSum) -> Self {
        Self { access_sum, ..self }
    }

    pub(in crate::storage) const fn source(&self) -> &Arc<VaultState> {
        &self.source
    }

    /// Adds last accesses that the log holds and their table does not.
    pub(in crate::storage) fn catch_up(&self, accesses: impl IntoIterator<Item = LastAccess>) {
        self.source.accesses.take_in(accesses);
    }

    pub(in crate::storage) fn begin(&mut self) -> BatchBuilder<'_> {
        // Resolve an earlier doubt before any job decides on this state.
        self.resolve();
        BatchBuilder {
            frontier: self.head.frontier.clone(),
            state: self.head.state,
            times: Times { newest: self.head.newest_time, last: self.accesses_written },
            snapshot: OnceCell::new(),
            overlay: Overlay::new(),
            records: Vec::new(),
            hashes: Vec::new(),
            accesses: Vec::new(),
            places: Vec::new(),
            announcements: Vec::new(),
            row_version: self.row_version,
            first_sequence: self.head.first_sequence,
            settles: false,
            hands_over: false,
            committer: self,
        }
    }

    /// Flushes the tail of the log and the last accesses, and retries a failing disk. If the commit fails, both stay
    /// pending. An idle file then holds its whole log in one table and every last access in its own.
    pub(in crate::storage) fn idle(&mut self) {
        let is_failing = self.source.stats.failing.load(Ordering::Relaxed);
        if self.has_tail || !self.source.accesses.is_empty() || is_failing {
            let mut builder = self.begin();
            builder.settles = true;
            builder.commit();
        }
    }

    /// Resolves an earlier doubt, then commits. If the commit fails, reopens the file to see whether it was written.
    fn commit(&mut self, next: Next, batch: &Batch) -> bool {
        if !self.resolve() {
            return false;
        }
        if batch.expected_head.as_deref() != Some(&self.sealed_head) {
            // Resolving the doubt moved the head: this batch was decided on a state that is gone.
            return false;
        }
        let committing = AssertUnwindSafe(|| self.source.stats.timed(|| self.source.engine.commit(batch)));
        // redb may panic on inconsistent pages; the commit is then in doubt.
        let broke = |_| Err(CommitError::Engine(Box::new(redb::Error::PreviousIo)));
        match catch_unwind(committing).unwrap_or_else(broke) {
            Ok(()) => {
                self.advance(next);
                self.source.tap.collect(batch);
                true
            }
            Err(CommitError::HeadMoved) => {
                tracing::error!("the file was changed by somebody else: nothing is written any more");
                false
            }
            Err(CommitError::Engine(error)) => {
                tracing::error!(%error, "commit failed; reopening the file to see whether it was written");
                self.source.tap.lose();
                let there = next.sealed_head.clone();
                self.doubt = Some(next);
                self.resolve() && self.sealed_head == there
            }
        }
    }

    fn advance(&mut self, Next { head, sealed_head, log_key, access_sum, announcements }: Next) {
        (self.head, self.sealed_head, self.access_sum) = (head, sealed_head, access_sum);
        if let Some(next) = log_key {
            self.log_key = next;
        }
        announcements.into_iter().for_each(|announce| announce());
    }

    /// Resolves a commit in doubt by reopening the file; returns whether the head on disk is known.
    fn resolve(&mut self) -> bool {
        let Some(doubt) = self.doubt.take() else { return true };
        let engine = &self.source.engine;
        let is_ours = |head: &[u8]| head == doubt.sealed_head || head == self.sealed_head;
        // redb may panic on inconsistent pages.
        let found = catch_unwind(AssertUnwindSafe(|| engine.reopen(is_ours)));
        // While the commit was in doubt, threads may have cached rows of either state: start a new generation.
        self.source.state.advance();
        self.source.dates.forget();
        match found.unwrap_or(Err(OpenError::Damaged(None))) {
            Ok(found) => {
                if found == doubt.sealed_head {
                    self.advance(doubt);
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, "the file does not open again: tried anew with the next request");
                self.doubt = Some(doubt);
                false
            }
        }
    }
}

/// A batch under construction.
pub(in crate::storage) struct BatchBuilder<'a> {
    committer: &'a mut Committer,
    /// The state on which the batch builds, opened when a job first needs it.
    snapshot: OnceCell<Snapshot>,
    overlay: Overlay,
    frontier: tree::Frontier,
    state: crate::crypto::digest::StateDigest,
    times: Times,
    records: Vec<(u64, Vec<u8>)>,
    hashes: Vec<SubtreeHash>,
    accesses: Vec<LastAccess>,
    places: Vec<Gathered>,
    announcements: Vec<Announcement>,
    /// The row version that the file needs after this batch.
    row_version: u8,
    /// The first record that the file holds after this batch.
    first_sequence: u64,
    /// `true` if the tail of the log moves to its table.
    settles: bool,
    /// `true` if the log continues with a new key after this batch.
    hands_over: bool,
}

impl BatchBuilder<'_> {
    /// Runs a job's decision on the state that the earlier jobs left, and adds its writes to the batch. A job adds
    /// nothing if it panics or its rows cannot be read or sealed.
    pub(in crate::storage) fn add(&mut self, decide: impl FnOnce(&View<'_>) -> Decision<()>) -> JobIndex {
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let view = View::deciding(&self.committer.source, &self.overlay, &self.snapshot);
            let (changes, events, effect, announcement) = decide(&view).into_parts();
            let needs = (changes.row_version(), changes.starts_log_key(), changes.first_record());
            let rows = seal_changes(&self.committer.source, changes)?;
            let before = rows.iter().map(|row| self.current(&view, row)).collect::<Result<Vec<_>, _>>()?;
            Ok((rows, before, events, (effect, announcement), needs))
        }));
        let result = match decided {
            Ok(Ok((rows, before, events, (effect, announcement), (version, hands_over, first_record)))) => {
                self.announcements.extend(announcement);
                self.row_version = self.row_version.max(version);
                self.hands_over |= hands_over;
                self.first_sequence = self.first_sequence.max(first_record.unwrap_or(0));
                rows.into_iter().zip(before).for_each(|(row, before)| self.write(row, before));
                Ok((events.iter().map(|event| self.record(event)).collect(), effect))
            }
            Ok(Err(error)) => Err(Failure::Storage(error)),
            Err(_) => Err(Failure::Panicked),
        };
        self.places.push(result);
        JobIndex(self.places.len() - 1)
    }

    fn current(&self, view: &View<'_>, row: &RowWrite) -> Result<Option<Vec<u8>>, StorageError> {
        match self.overlay.get(&(row.table, row.key.clone())) {
            Some(written) => Ok(written.clone()),
            // Only the tables under the state digest need the value before.
            None if !row.table.is_state() => Ok(None),
            None => view.snapshot()?.row(row.table, &row.key),
        }
    }

    fn write(&mut self, row: RowWrite, before: Option<Vec<u8>>) {
        if row.table.is_state() {
            // If the same job has written this row already, its value so far counts, not the committed one.
            let before = self.overlay.get(&(row.table, row.key.clone())).cloned().unwrap_or(before);
            let key = self.committer.source.keys.state();
            let tag = |value: &Vec<u8>| key.row(row.table.number(), &row.key, value);
            if let Some(before) = &before {
                self.state.remove(tag(before));
            }
            if let Some(after) = &row.value {
                self.state.add(tag(after));
            }
        }
        self.overlay.insert((row.table, row.key), row.value);
    }

    fn record(&mut self, event: &Event) -> Receipt {
        let sequence = self.frontier.size();
        let record = record::encode(sequence, event);
        let leaf_hash = tree::leaf_hash(&record);
        for stored in self.frontier.push(leaf_hash) {
            self.hashes.push(SubtreeHash { level: stored.level, index: stored.index, hash: stored.hash });
        }
        self.times.add(event.time);
        self.records.push((sequence, audit_row(record, &leaf_hash)));
        self.accesses.extend(accesses_of(sequence, event));
        Receipt { sequence, leaf_hash }
    }

    /// Commits the batch; an empty batch succeeds without touching the disk.
    pub(in crate::storage) fn commit(mut self) -> Outcomes {
        // A live snapshot keeps redb from reusing the pages of its state.
        drop(self.snapshot.take());
        let changes_state = self.overlay.keys().any(|(table, _)| table.is_state());
        let idle = self.overlay.is_empty()
            && self.records.is_empty()
            && self.committer.source.accesses.is_empty()
            && !self.settles
            && !self.committer.source.stats.failing.load(Ordering::Relaxed);
        let done = idle || self.write_out(changes_state);
        let stats = &self.committer.source.stats;
        stats.failing.store(!done, Ordering::Relaxed);
        if !idle && !self.places.is_empty() {
            stats.batch_jobs.observe(self.places.len() as u64);
        }
        let size = self.committer.head.frontier.size();
        stats.log_size.send_if_modified(|known| std::mem::replace(known, size) != size);
        Outcomes { done, places: self.places.into_iter().map(Some).collect() }
    }

    fn write_out(&mut self, changes_state: bool) -> bool {
        let due = self.times.are_accesses_due(self.committer.accesses_written);
        // The log can no longer rebuild the last accesses of the records that leave it.
        let archives = self.first_sequence > self.committer.head.first_sequence;
        self.settles |= archives;
        let Ok((next, mut batch)) = self.build(changes_state || due || archives) else { return false };
        let written_accesses = batch.rows.iter().any(|row| row.table == Table::LastAccess);
        if changes_state {
            self.committer.source.state.begin_commit();
        }
        let done = self.committer.commit(next, &batch);
        if changes_state {
            self.committer.source.state.end_commit();
        }
        if done {
            self.committer.source.recent.add(std::mem::take(&mut batch.records));
            note_dates(&self.committer.source, &batch.rows);
            (self.committer.has_tail, self.committer.row_version) = (!self.settles, self.row_version);
            if written_accesses {
                self.committer.source.accesses.clear();
                self.committer.accesses_written = self.times.last;
            }
            let newest = std::mem::take(&mut self.accesses);
            self.committer.catch_up(not_deleted(&batch.rows, newest));
        }
        done
    }

    fn build(&mut self, with_accesses: bool) -> Result<(Next, Batch), StorageError> {
        let source = Arc::clone(&self.committer.source);
        let idle = self.overlay.is_empty() && self.records.is_empty();
        let (mut rows, mut meta) = split_meta(std::mem::take(&mut self.overlay));
        let mut access_sum = self.committer.access_sum;
        if with_accesses || idle {
            rows.extend(access_rows(&source, &rows)?);
            rows.extend(access_mark(&source, self.committer.head.frontier.size(), &rows, &mut access_sum)?);
        }
        let before = &self.committer.head;
        let mut head = Head {
            version: before.version + 1,
            frontier: self.frontier.clone(),
            root: self.frontier.root(),
            first_sequence: self.first_sequence,
            newest_time: self.times.newest,
            slots_hash: before.slots_hash,
            log_keys_hash: before.log_keys_hash,
            state: self.state,
        };
        if let Some((_, slots)) = meta.iter().find(|(name, _)| *name == meta::SLOTS) {
            head.slots_hash = sha256(slots);
        }
        let mut log_key = None;
        if self.hands_over {
            let (next, values) = hand_over(&source, &mut head, &self.committer.log_key)?;
            meta.extend(values);
            log_key = Some(next);
        } else if !self.records.is_empty() {
            meta.push((meta::CHECKPOINT, signed(source.file, &head, &self.committer.log_key).into_bytes()));
        }
        if self.row_version > self.committer.row_version {
            meta.push((meta::NEEDS, Needs::of(self.row_version.into()).to_bytes()));
        }
        let sealed_head = head.seal(&source.keys, source.file)?;
        meta.push((meta::HEAD, sealed_head.clone()));
        let batch = Batch {
            expected_head: Some(self.committer.sealed_head.clone()),
            rows,
            records: std::mem::take(&mut self.records),
            hashes: std::mem::take(&mut self.hashes),
            settle: self.settles,
            first_record: (self.first_sequence > self.committer.head.first_sequence)
                .then_some(self.first_sequence),
            meta,
        };
        let announcements = std::mem::take(&mut self.announcements);
        Ok((Next { head, sealed_head, log_key, access_sum, announcements }, batch))
    }
}
