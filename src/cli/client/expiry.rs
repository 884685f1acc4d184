//! Expiry of a credential at its provider, as the commands that read and list show it.

use std::time::Duration;

use crate::{
    cli::terminal::table::{NOTHING, local},
    domain::{Timestamp, days},
};

/// Horizon of the expiry warning: within a week a person can act on it.
const SOON: Duration = days(7);

/// Returns the predicate of a warning if the credential has expired or expires within [`SOON`].
pub(super) fn warning(end: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let end = end?;
    if end <= now {
        return Some(format!(
            "ended at {}, {} ago; the provider may reject it",
            local(end),
            span(now.since(end))
        ));
    }
    is_soon(end, now)
        .then(|| format!("ends at {}, in {}; rotate it before", local(end), span(end.since(now))))
}

/// Returns a list's cell: the time, marked if the credential has expired or expires within [`SOON`].
pub(super) fn cell(end: Option<Timestamp>, now: Timestamp) -> String {
    match end {
        None => NOTHING.to_owned(),
        Some(end) if end <= now => format!("ENDED {}", local(end)),
        Some(end) if is_soon(end, now) => format!("{}, in {}", local(end), span(end.since(now))),
        Some(end) => local(end),
    }
}

fn is_soon(end: Timestamp, now: Timestamp) -> bool {
    end.since(now) <= SOON
}

/// Returns a time in its largest whole unit, at least a minute.
pub(super) fn span(time: Duration) -> String {
    let minutes = (time.as_secs() / 60).max(1);
    let (count, unit) = match minutes {
        0..120 => (minutes, "minute"),
        120..2_880 => (minutes / 60, "hour"),
        _ => (minutes / 1_440, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{minutes, seconds};

    #[test]
    fn a_credential_that_has_ended_or_soon_will_is_never_read_in_silence() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        assert_eq!(warning(None, now), None);
        assert_eq!(warning(Some(now.plus(days(7)).plus(seconds(1))), now), None);
        for (end, text) in [
            (now.plus(days(7)), "in 7 days; rotate it before"),
            (now.plus(seconds(1)), "in 1 minute; rotate it before"),
            (now, "1 minute ago; the provider may reject it"),
            (now.minus(days(400)), "400 days ago; the provider may reject it"),
        ] {
            let said = warning(Some(end), now).unwrap();
            assert!(said.ends_with(text), "{said}");
            let listed = cell(Some(end), now);
            assert_eq!(listed.starts_with("ENDED "), end <= now, "{listed}");
            assert_eq!(listed.contains(", in "), end > now, "{listed}");
        }
        assert_eq!(cell(None, now), "-");
        assert_eq!(cell(Some(now.plus(days(8))), now), local(now.plus(days(8))));
    }

    #[test]
    fn a_span_has_the_unit_that_a_person_would_choose() {
        for (time, text) in [
            (seconds(0), "1 minute"),
            (minutes(119), "119 minutes"),
            (minutes(120), "2 hours"),
            (minutes(2_879), "47 hours"),
            (days(2), "2 days"),
        ] {
            assert_eq!(span(time), text);
        }
    }
}
