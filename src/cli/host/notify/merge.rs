//! Merging: the first notice of a kind goes at once, and further ones of a minute go as one.

use std::{collections::BTreeMap, time::Duration};

use super::notice::Notice;

/// The shortest time between two messages of one kind.
const EVERY: Duration = Duration::from_mins(1);

/// The kinds that were sent within the last minute, each with what waits for its end.
#[derive(Default)]
pub(super) struct Merge(BTreeMap<&'static str, (Duration, Option<Notice>)>);

impl Merge {
    /// Takes in a notice; returns it if it is to be sent at once.
    pub(super) fn offer(&mut self, notice: Notice, now: Duration) -> Option<Notice> {
        match self.0.get_mut(notice.kind) {
            None => {
                self.0.insert(notice.kind, (now, None));
                Some(notice)
            }
            Some((_, Some(waiting))) => {
                waiting.merge(notice);
                None
            }
            Some((_, waiting)) => {
                *waiting = Some(notice);
                None
            }
        }
    }

    /// Returns what has waited for a minute, and forgets the kinds of which nothing waits.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Notice> {
        let mut due = Vec::new();
        self.0.retain(|_, (sent, waiting)| {
            if now.saturating_sub(*sent) < EVERY {
                return true;
            }
            *sent = now;
            let had = waiting.is_some();
            due.extend(waiting.take());
            had
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_thousand_alarms_of_a_minute_are_two_messages_and_none_is_lost_from_the_count() {
        let (mut merge, second) = (Merge::default(), Duration::from_secs(1));
        let mut sent = Vec::new();
        for number in 0..1_000 {
            let now = second * (number / 20);
            sent.extend(merge.due(now));
            sent.extend(merge.offer(Notice::of_case("canary.read", json!(number)), now));
        }
        assert_eq!(sent.len(), 1, "the first at once");
        assert!(merge.due(second * 59).is_empty());
        sent.extend(merge.due(second * 60));
        let counts: Vec<u64> = sent.iter().map(|notice| notice.count).collect();
        assert_eq!(counts, [1, 999]);
        assert!(merge.due(second * 120).is_empty());
        assert!(
            merge.offer(Notice::of_case("canary.read", json!(0)), second * 120).is_some(),
            "a new minute"
        );
        let message = sent
            .pop()
            .unwrap()
            .into_message(Some("sealroom/x"), crate::domain::Timestamp::from_millis(0))
            .unwrap();
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!((&body["type"], &body["data"]["count"]), (&json!("canary.read"), &json!(999)));
        assert_eq!(body["data"]["cases"].as_array().unwrap().len(), 16, "bounded");
    }

    #[test]
    fn no_kind_holds_up_another() {
        let mut merge = Merge::default();
        for kind in ["canary.read", "backup.failed", "requests.refused"] {
            assert!(merge.offer(Notice::new(kind, json!({})), Duration::ZERO).is_some());
            assert!(merge.offer(Notice::new(kind, json!({})), Duration::ZERO).is_none());
        }
        assert_eq!(merge.due(EVERY).len(), 3);
    }
}
