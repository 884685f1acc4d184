//! The exposure of an actor, an integration or a time, from the records that the sealed head vouches for.
//!
//! The index over the log is in memory alone. The check of the whole log after an unlock builds it, a task of the host
//! keeps it near the log's end, and a question reads what is left. A commit only leaves its records in memory for it.

use super::{
    access::Admitted,
    error::Error,
    export::ExportTurn,
    exposures::{apart, damaged, take_in},
    state::{Open, Vault},
    work::Context,
};
use crate::{
    api::responses::{ExposedValue, Exposure, Made},
    audit::exposure::{Answer, BLOCK, NeedsArchive, Question, Reading},
    auth::policy::Verb,
    domain::{Actor, IntegrationId, Timestamp},
    storage::{StorageError, View},
};

/// The number of records that a question may have to read before its answer.
const BEHIND_MAX: u64 = 256;

impl Vault {
    /// Returns what the question's actor, integration or time exposed, after the read is durable in the log. Hold the
    /// returned permit until the answer is sent.
    ///
    /// # Errors
    /// The policy forbids it, the question is about archived records or an integration that never was, or a record is
    /// not the one that was written.
    pub async fn exposure(
        &self,
        context: &Context,
        caller: &Admitted,
        question: &Question,
    ) -> Result<(Exposure, ExportTurn), Error> {
        // An answer may take as long as an export, and as much memory: it has its place among them.
        let turn = self.export_turn(caller)?;
        self.record_read(context, caller).await?;
        match self.find_exposure(context, caller, question, &turn).await {
            Err(Error::Tampered(StorageError::Tampered { key, .. })) => {
                Err(self.damaged_record(context, caller, key).await)
            }
            found => Ok((found?, turn)),
        }
    }

    async fn find_exposure(
        &self,
        context: &Context,
        caller: &Admitted,
        question: &Question,
        turn: &ExportTurn,
    ) -> Result<Exposure, Error> {
        self.index_to_end(context, caller, Verb::ReadAudit, turn).await?;
        let (open, asked, now) = (self.opened()?, question.clone(), context.now);
        let exposure = match apart(turn.clone(), move || answer(&open, &asked, now)).await? {
            Answer::Ready(exposure) => *exposure,
            Answer::Archived { last } => return Err(Error::Archived { last }),
            Answer::Read(reading) => self.read_on(context, caller, reading, turn).await?,
        };
        let open = self.opened()?;
        apart(turn.clone(), move || with_rows(&open, exposure, now)).await
    }

    /// Returns the sequence after the archived records and the newest of their times; none if nothing is archived, the
    /// log does not tell, or the caller may not export it.
    pub(super) async fn archived(
        &self,
        context: &Context,
        caller: &Admitted,
        turn: &ExportTurn,
    ) -> Option<(u64, Timestamp)> {
        let held = self.opened().ok()?.writer.fresh_view().first_sequence().ok()?;
        if held == 0 {
            return None;
        }
        self.index_to_end(context, caller, Verb::ExportAudit, turn).await.ok()?;
        self.opened().ok()?.exposures.lock().archived()
    }

    /// Brings the index to the present end of the log.
    async fn index_to_end(
        &self,
        context: &Context,
        caller: &Admitted,
        verb: Verb,
        turn: &ExportTurn,
    ) -> Result<(), Error> {
        let end = self.opened()?.writer.fresh_view().log_size()?;
        loop {
            let open = self.opened()?;
            self.admit_again(&open.writer.view(), caller, context.now, verb)?;
            let next = apart(turn.clone(), move || step(&open)).await?;
            if next >= end {
                return Ok(());
            }
        }
    }

    /// Reads the records that a question needs.
    async fn read_on(
        &self,
        context: &Context,
        caller: &Admitted,
        mut reading: Box<Reading>,
        turn: &ExportTurn,
    ) -> Result<Exposure, Error> {
        while let Some(block) = reading.next_block() {
            let open = self.opened()?;
            self.admit_again(&open.writer.view(), caller, context.now, Verb::ReadAudit)?;
            reading = apart(turn.clone(), move || {
                let count = usize::try_from(block.end - block.start).unwrap_or_default();
                let view = open.writer.fresh_view();
                let (records, held) = (view.records(block.start, count)?, view.first_sequence()?);
                if held > block.start {
                    return Err(Error::Archived { last: held - 1 });
                }
                for (sequence, bytes) in &records {
                    reading.push(*sequence, bytes).map_err(|_| damaged(*sequence))?;
                }
                Ok(reading)
            })
            .await?;
        }
        let open = self.opened()?;
        let first = open.writer.fresh_view().first_sequence()?;
        reading.finish().map_err(|NeedsArchive| Error::Archived { last: first.saturating_sub(1) })
    }

    /// Brings the index to the end of the log: records are about to leave the file.
    ///
    /// # Errors
    /// As [`Vault::index_exposures`].
    pub(super) async fn index_all(&self) -> Result<(), Error> {
        let end = self.opened()?.writer.fresh_view().log_size()?;
        loop {
            let open = self.opened()?;
            if apart((), move || step(&open)).await? >= end {
                return Ok(());
            }
        }
    }

    /// Returns the number of records in the log; none while the vault is locked.
    pub fn recorded(&self) -> Option<u64> {
        self.opened().ok().map(|open| *open.writer.stats().log_size.borrow())
    }

    /// Takes a step of the index towards the end of the log, if it is far behind. Returns whether it was.
    ///
    /// # Errors
    /// The vault is locked, the file cannot be read, or a record is not the one that was written.
    pub fn index_exposures(&self) -> Result<bool, Error> {
        let open = self.opened()?;
        let end = *open.writer.stats().log_size.borrow();
        let is_behind = open.exposures.lock().next().saturating_add(BEHIND_MAX) < end;
        if is_behind {
            step(&open)?;
        }
        Ok(is_behind)
    }
}

/// Takes in the next records of the log, and returns the sequence after them. Questions wait for no read of the file.
fn step(open: &Open) -> Result<u64, Error> {
    let next = open.exposures.lock().next();
    // Records that this process has just committed need not be read and hashed again.
    let mut records = open.writer.take_recent(next);
    if records.is_empty() {
        records = open.writer.fresh_view().records(next, usize::try_from(BLOCK).unwrap_or_default())?;
    }
    let mut index = open.exposures.lock();
    take_in(&mut index, &records)?;
    Ok(index.next())
}

/// Answers from the index, as far as it can.
fn answer(open: &Open, question: &Question, now: Timestamp) -> Result<Answer, Error> {
    let view = open.writer.fresh_view();
    let held = view.first_sequence()?;
    let index = open.exposures.lock();
    if let Some(id) = question.integration
        && index.has(id) != Some(true)
        && view.integration(id)?.is_none()
    {
        return match (index.has(id), held.checked_sub(1)) {
            (None, Some(last)) => Ok(Answer::Archived { last }),
            _ => Err(Error::IntegrationNotFound),
        };
    }
    let mut current = |id: IntegrationId| Some(view.integration(id).ok()??.revision().number());
    Ok(index.answer(question, now, held, &mut current))
}

/// Adds what only rows tell.
fn with_rows(open: &Open, mut exposure: Exposure, now: Timestamp) -> Result<Exposure, Error> {
    let view = open.writer.fresh_view();
    for value in &mut exposure.live {
        name(value, &view)?;
    }
    for made in &mut exposure.made {
        describe(made, &view, now)?;
    }
    if let Some(actor) = exposure.actor.as_deref().filter(|_| !exposure.known) {
        exposure.known = has_row(actor, &view)?;
        if exposure.known {
            exposure.nearest = None;
        }
    }
    Ok(exposure)
}

fn name(value: &mut ExposedValue, view: &View<'_>) -> Result<(), Error> {
    if let Some(integration) = view.integration(value.integration_id)? {
        value.name = integration.name.as_ref().map(ToString::to_string);
        value.expires_at = integration.expires_at();
    }
    Ok(())
}

fn describe(made: &mut Made, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
    match made.actor.parse() {
        Ok(Actor::App(id)) => {
            if let Some(token) = view.token_by_id(id)? {
                made.name = Some(token.name.to_string());
                made.role = Some(token.role.to_string());
                made.status = Some(token.status(now).to_string());
            }
        }
        Ok(Actor::User(email)) => {
            let user = view.user(&email)?;
            made.role = user.as_ref().map(|user| user.role.to_string());
            let status = user.map_or("removed", |user| if user.disabled { "disabled" } else { "active" });
            made.status = Some(status.to_owned());
        }
        Ok(Actor::Host(_)) | Err(_) => {}
    }
    Ok(())
}

fn has_row(actor: &str, view: &View<'_>) -> Result<bool, Error> {
    Ok(match actor.parse() {
        Ok(Actor::App(id)) => view.token_by_id(id)?.is_some(),
        Ok(Actor::User(email)) => view.user(&email)?.is_some(),
        Ok(Actor::Host(_)) | Err(_) => false,
    })
}
