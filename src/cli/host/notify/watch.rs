//! Sources of notices.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    merge::Merge,
    notice::Notice,
    outbox::{Outbox, deliver},
    summary::summary,
    targets::Targets,
};
use crate::{
    clock::{self, Clock},
    domain::Timestamp,
    vault::{CanaryRead, Vault},
};

/// The interval between two looks at the vault's state.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The time over which refusals are counted.
const FLOOD_WITHIN: Duration = Duration::from_mins(1);
/// The number of refusals in that time that counts as a flood: far above a pipeline with an expired token.
const FLOOD: u64 = 300;
/// The hint beside a witness that refuses the log.
const REFUSED: &str = "a witness knows another history of this log, or a longer one, and the server's log names it: keep \
                       the file, and compare it with a backup and the checkpoint folder";
/// The hint beside a witness that does not cosign.
const SILENT: &str = "a witness has cosigned no checkpoint for a day, and the server's log says why";
/// The milliseconds of a day.
const DAY_MILLIS: u64 = 86_400_000;

/// Logs every alarm, and sends notices to the targets, for as long as it is polled.
pub(in crate::cli::host) async fn keep(targets: Targets, vault: &Arc<Vault>, clock: &Clock) {
    let (mut outboxes, mut deliveries) = (Vec::new(), Vec::new());
    for target in targets.into_list() {
        let (outbox, queue) = Outbox::new();
        outboxes.push(outbox);
        deliveries.push(deliver(queue, target, vault));
    }
    let mut deliveries = deliveries.into_iter();
    let rest = || std::future::pending::<()>();
    let (first, second) = (deliveries.next(), deliveries.next());
    let first = async {
        match first {
            Some(delivery) => delivery.await,
            None => rest().await,
        }
    };
    let second = async {
        match second {
            Some(delivery) => delivery.await,
            None => rest().await,
        }
    };
    tokio::join!(watch(&outboxes, vault, clock), first, second);
}

async fn watch(outboxes: &[Outbox], vault: &Arc<Vault>, clock: &Clock) {
    let mut reads = vault.canary_reads();
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut merge, mut seen) = (Merge::default(), Seen::new(vault, clock.now()));
    loop {
        let found = tokio::select! {
            read = next(&mut reads) => vec![alarm(&read)],
            _ = every.tick() => seen.look(vault, clock.now()),
        };
        let now = clock::monotonic();
        let mut sent: Vec<Notice> = found.into_iter().filter_map(|notice| merge.offer(notice, now)).collect();
        sent.extend(merge.due(now));
        if outboxes.is_empty() {
            continue;
        }
        let name = vault.verifier_key().ok().map(|key| key.name().to_owned());
        for notice in sent {
            match notice.into_message(name.as_deref(), clock.now()) {
                Ok(message) => {
                    let message = Arc::new(message);
                    outboxes.iter().for_each(|outbox| outbox.put(&message, vault));
                }
                Err(error) => tracing::error!(%error, "a notice was dropped"),
            }
        }
    }
}

async fn next(reads: &mut Option<mpsc::Receiver<CanaryRead>>) -> CanaryRead {
    if let Some(reads) = reads
        && let Some(read) = reads.recv().await
    {
        return read;
    }
    std::future::pending().await
}

fn alarm(read: &CanaryRead) -> Notice {
    let request = read.request.map(tracing::field::display);
    let peer = read.peer.map(tracing::field::display);
    tracing::error!(
        integration = %read.integration,
        actor = %read.actor,
        peer,
        request,
        "a canary was read: nobody has a reason to read it, so that an intruder may hold this caller's token or session"
    );
    let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
    let case = json!({
        "integrationId": read.integration.to_string(),
        "actor": read.actor.to_string(),
        "peer": text(read.peer.map(|peer| peer.to_string())),
        "requestId": text(read.request.map(|request| request.to_string())),
    });
    Notice::of_case("canary.read", case)
}

/// The state at the last look.
#[derive(Default)]
struct Seen {
    /// The conditions of the last look: a backup failed, a witness refuses, one is silent.
    conditions: [bool; 3],
    rolled_back: bool,
    /// The number of refusals at the beginning of this minute, and the looks since.
    minute: (u64, u32),
    day: u64,
}

impl Seen {
    fn new(vault: &Vault, now: Timestamp) -> Self {
        let refused = vault.refused();
        let day = now.millis() / DAY_MILLIS;
        Self { minute: (refused, 0), day, ..Self::default() }
    }

    /// Returns what is new since the last look.
    fn look(&mut self, vault: &Vault, now: Timestamp) -> Vec<Notice> {
        let mut found = Vec::new();
        let conditions = [
            (vault.is_backup_failed(), "backup.failed", "the server's log says why"),
            (vault.is_witness_refused(), "witness.refused", REFUSED),
            (vault.is_witness_silent(), "witness.silent", SILENT),
        ];
        for (seen, (is_so, kind, hint)) in self.conditions.iter_mut().zip(conditions) {
            let was_so = std::mem::replace(seen, is_so);
            if is_so && !was_so {
                found.push(Notice::new(kind, json!({ "hint": hint })));
            }
        }
        let rollback = vault.rolled_back();
        if let Some(rollback) = rollback.filter(|_| !self.rolled_back) {
            let facts = json!({
                "knownRecords": rollback.known,
                "heldRecords": rollback.held,
                "hint": "an older copy of the vault file, or another history of its log, is in place: see the server's log",
            });
            found.push(Notice::new("vault.rolled_back", facts));
        }
        self.rolled_back = rollback.is_some();
        found.extend(self.flood(vault.refused()));
        if self.is_new_day(now) {
            found.push(Notice::new("summary.daily", summary(vault, now)));
        }
        found
    }

    /// Returns whether this look is the first of its day, also of one that is earlier: a clock that was ahead came back.
    fn is_new_day(&mut self, now: Timestamp) -> bool {
        let day = now.millis() / DAY_MILLIS;
        std::mem::replace(&mut self.day, day) != day
    }

    fn flood(&mut self, refused: u64) -> Option<Notice> {
        let (at_start, looks) = self.minute;
        let count = refused.saturating_sub(at_start);
        let is_over = u64::from(looks) * LOOK_EVERY.as_secs() >= FLOOD_WITHIN.as_secs();
        if count >= FLOOD {
            self.minute = (refused, 0);
            let facts = json!({ "refused": count, "withinSeconds": FLOOD_WITHIN.as_secs() });
            return Some(Notice::new("requests.refused", facts));
        }
        self.minute = if is_over { (refused, 0) } else { (at_start, looks + 1) };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::days;

    /// After a clock that was a year ahead no summary came for that year.
    #[test]
    fn a_summary_comes_each_day_whatever_the_clock_did_before() {
        let start: Timestamp = "2026-11-24T10:20:30.000Z".parse().unwrap();
        let mut seen = Seen { day: start.plus(days(365)).millis() / DAY_MILLIS, ..Seen::default() };
        for day in 0..3 {
            assert!(seen.is_new_day(start.plus(days(day))));
            assert!(!seen.is_new_day(start.plus(days(day))));
        }
    }

    #[test]
    fn a_flood_is_told_once_it_is_one_and_a_trickle_never_is() {
        let mut flooded = Seen::default();
        assert!(flooded.flood(FLOOD - 1).is_none());
        assert!(flooded.flood(FLOOD).is_some());
        assert!(flooded.flood(FLOOD + 1).is_none(), "counted anew");
        let (mut slow, mut refused) = (Seen::default(), 0);
        for _ in 0..3_600 {
            refused += 4;
            assert!(slow.flood(refused).is_none(), "240 a minute, for an hour");
        }
        for _ in 0..90 {
            refused += 6;
            if slow.flood(refused).is_some() {
                return;
            }
        }
        panic!("360 a minute are a flood");
    }
}
