//! The watch over the system's clock while a server runs. The server's own never goes back, so that nothing that had
//! expired lives again; after a start with a clock that was ahead it stays ahead, and the operator learns it here.

use std::time::Duration;

use tokio::time::sleep;

use super::{offline::CLOCK_SLACK, repeats::ASKED};
use crate::clock::Clock;

/// The interval between two looks at the system's clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Logs that the system's clock was set back behind the server's, and that it caught up, for as long as it is polled.
pub(super) async fn keep(clock: &Clock) {
    let mut watch = Watch::default();
    loop {
        match watch.observe(clock.lead()) {
            Some(Change::Behind { minutes }) => tracing::warn!(
                target: ASKED,
                minutes,
                "the system's clock was set back, and the server's goes on from before: its records and the end of its \
                 tokens stay ahead. If the clock is right now, start again with --accept-clock"
            ),
            Some(Change::CaughtUp) => {
                tracing::info!(target: ASKED, "the system's clock has caught up with the server's");
            }
            None => {}
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The last reading of the two clocks.
#[derive(Default)]
struct Watch {
    is_behind: bool,
}

/// A change that an operator wants to know.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Behind { minutes: u64 },
    CaughtUp,
}

impl Watch {
    /// Takes the server's lead over the system's clock.
    fn observe(&mut self, lead: Duration) -> Option<Change> {
        let was_behind = std::mem::replace(&mut self.is_behind, lead > CLOCK_SLACK);
        match (was_behind, self.is_behind) {
            (false, true) => Some(Change::Behind { minutes: lead.as_secs() / 60 }),
            (true, false) => Some(Change::CaughtUp),
            (false, false) | (true, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_is_told_once_and_again_when_it_caught_up() {
        let mut watch = Watch::default();
        let mut at = |minutes: u64| watch.observe(Duration::from_mins(minutes));
        // A correction by NTP is no news.
        assert_eq!([at(0), at(1), at(5), at(0)], [None, None, None, None]);
        assert_eq!(at(90), Some(Change::Behind { minutes: 90 }));
        assert_eq!([at(90), at(43_800), at(6)], [None, None, None]);
        assert_eq!(at(4), Some(Change::CaughtUp));
        assert_eq!(at(6), Some(Change::Behind { minutes: 6 }));
    }
}
