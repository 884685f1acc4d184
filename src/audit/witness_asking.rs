//! A log's side of C2SP `tlog-witness`: what to ask a witness next, and what its answer is worth.
//!
//! Owns the conversation and its end; the caller carries the requests and supplies the proofs.

use super::{
    checkpoint::VerifierKey,
    cosignature::{WitnessKey, lines_of},
    tree::Hash,
    witness::{Request, size},
};
use crate::domain::Timestamp;

/// The most requests to one witness: the size that it states may change between two of them.
const TRIES_MAX: usize = 3;
/// The longest part of a witness's own text that a message quotes.
const QUOTED_CHARS_MAX: usize = 300;

/// A witness that gave no cosignature, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unvouched {
    /// Its answer has no line of its key that holds for this checkpoint now.
    #[error("its answer has no signature of its key on this checkpoint, or one from the future")]
    Unsigned,
    /// It refuses the old size and states no other one.
    #[error("it answers 409 without the size that it cosigned last")]
    NoSize,
    /// It states another size each time.
    #[error("the size that it states changes with each answer: is another host asking it?")]
    Restless,
    /// It knows more of this log than there is.
    #[error(
        "it has cosigned {seen} records of this log, and the server has {own}: an older copy of the vault is served, or \
         the log lost its end"
    )]
    Ahead {
        /// The records that it cosigned.
        seen: u64,
        /// The records of the log.
        own: u64,
    },
    /// It may know more of this log than there is: the log's own size cannot be read.
    #[error(
        "it has cosigned {seen} records of this log, more than the checkpoint has: another command or the server asked it \
         meanwhile, or an older copy of the vault is served; the log does not tell its size now, so run this again"
    )]
    Unsettled {
        /// The records that it cosigned.
        seen: u64,
    },
    /// Another asker was ahead with a newer checkpoint of the log.
    #[error(
        "another command or the server asked it meanwhile, for {seen} records: the next run asks for as many"
    )]
    Overtaken {
        /// The records that it cosigned.
        seen: u64,
    },
    /// It refuses a proof that holds, or another root of one size.
    #[error(
        "it refuses that these {own} records continue the {old} that it cosigned: one of the two has another history of \
         this log ({status}: {text})"
    )]
    OtherHistory {
        /// The records of the log.
        own: u64,
        /// The records that it cosigned.
        old: u64,
        /// The HTTP status.
        status: u16,
        /// Its own words.
        text: String,
    },
    /// It does not trust the log's key.
    #[error("it does not trust the log's key: give it {key} (403)")]
    Untrusted {
        /// The log's key.
        key: Box<VerifierKey>,
    },
    /// It does not know the log.
    #[error("it does not know this log, or is no witness: its operator adds {key} (404)")]
    UnknownLog {
        /// The log's key.
        key: Box<VerifierKey>,
    },
    /// It answers otherwise than the protocol has it.
    #[error("it answers {status}: {text}")]
    Other {
        /// The HTTP status.
        status: u16,
        /// Its own words.
        text: String,
    },
}

impl Unvouched {
    /// Returns whether the log itself may have been changed: the reason for witnesses.
    pub const fn is_alarm(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::OtherHistory { .. })
    }

    /// Judges a witness that is ahead by the size that the log has by now, if it can be read: another asker may have
    /// sent a newer checkpoint. The next request proves that one to be of the same history, or not.
    #[must_use]
    pub fn by_now(self, newest: Option<u64>) -> Self {
        match (self, newest) {
            (Self::Ahead { seen, .. }, None) => Self::Unsettled { seen },
            (Self::Ahead { seen, .. }, Some(newest)) if newest >= seen => Self::Overtaken { seen },
            (other, _) => other,
        }
    }
}

/// A checkpoint on its way to one witness.
pub struct Asking<'a> {
    witness: &'a WitnessKey,
    log: &'a VerifierKey,
    note: &'a str,
    own: u64,
    old: u64,
    tries: usize,
}

impl<'a> Asking<'a> {
    /// Begins with a signed checkpoint of `own` records, of which the witness cosigned `old`, as far as is known.
    pub const fn new(
        witness: &'a WitnessKey,
        log: &'a VerifierKey,
        note: &'a str,
        own: u64,
        old: u64,
    ) -> Self {
        Self { witness, log, note, own, old, tries: 0 }
    }

    /// Returns the two sizes between which the next request needs a consistency proof; none if its proof is empty.
    pub const fn proven(&self) -> Option<(u64, u64)> {
        if self.old == 0 || self.old >= self.own { None } else { Some((self.old, self.own)) }
    }

    /// Returns the body of the next request.
    pub fn body(&self, proof: Vec<Hash>) -> String {
        Request { old: self.old, proof, note: self.note }.write()
    }

    /// Takes the answer: returns the witness's signature line with its end, or nothing if it wants another request.
    ///
    /// # Errors
    /// There will be no cosignature.
    pub fn take(
        &mut self,
        status: u16,
        media_type: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<String>, Unvouched> {
        self.tries += 1;
        match status {
            200 => self.line(text, now).map(Some),
            409 => {
                let is_size = media_type.split(';').next() == Some("text/x.tlog.size");
                let seen = text.strip_suffix('\n').and_then(size).filter(|_| is_size);
                // It is asked for the size that it cosigned, and says no: it has another root of that size.
                if self.old == self.own && seen.is_none_or(|seen| seen == self.own) {
                    return Err(self.other_history(status, text));
                }
                let seen = seen.ok_or(Unvouched::NoSize)?;
                if seen > self.own {
                    return Err(Unvouched::Ahead { seen, own: self.own });
                }
                if self.tries >= TRIES_MAX {
                    return Err(Unvouched::Restless);
                }
                self.old = seen;
                Ok(None)
            }
            _ => Err(self.refused(status, text)),
        }
    }

    fn line(&self, text: &str, now: Timestamp) -> Result<String, Unvouched> {
        for line in lines_of(text, self.witness) {
            let line = format!("{line}\n");
            let cosigned = [self.note, &line].concat();
            if matches!(self.witness.cosigned(&cosigned, now), Ok(Some(_))) {
                return Ok(line);
            }
        }
        Err(Unvouched::Unsigned)
    }

    fn other_history(&self, status: u16, text: &str) -> Unvouched {
        Unvouched::OtherHistory { own: self.own, old: self.old, status, text: quoted(text) }
    }

    fn refused(&self, status: u16, text: &str) -> Unvouched {
        let key = || Box::new(self.log.clone());
        match status {
            403 => Unvouched::Untrusted { key: key() },
            404 => Unvouched::UnknownLog { key: key() },
            422 => self.other_history(status, text),
            _ => Unvouched::Other { status, text: quoted(text) },
        }
    }
}

/// Returns the beginning of a stranger's text: nothing of it may steer a terminal or a log.
fn quoted(text: &str) -> String {
    let plain = text.trim().chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
    plain.take(QUOTED_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{checkpoint, cosignature::cosign},
        crypto::sign::LogKey,
    };

    const AT: Timestamp = Timestamp::from_millis(1_795_514_400_000);
    const SIZE: &str = "text/x.tlog.size";

    struct Two {
        log: VerifierKey,
        note: String,
        witness: LogKey,
        key: WitnessKey,
    }

    impl Two {
        fn new() -> Self {
            let [log, witness] = [(); 2].map(|()| LogKey::generate().unwrap());
            let note = checkpoint::note("example.com/log", 41, &[7; 32], &[], &[&log]);
            let key = WitnessKey::new("example.com/w", witness.public());
            Self { log: VerifierKey::new("example.com/log", log.public()), note, witness, key }
        }

        fn asking(&self, old: u64) -> Asking<'_> {
            Asking::new(&self.key, &self.log, &self.note, 41, old)
        }

        fn line(&self, time: Timestamp) -> String {
            let signed = &self.note[..=self.note.find("\n\n").unwrap()];
            cosign(signed, self.key.name(), &self.witness, time)
        }
    }

    #[test]
    fn a_conversation_follows_the_sizes_that_the_witness_states_and_ends() {
        let two = Two::new();
        let mut asking = two.asking(0);
        assert_eq!(asking.proven(), None);
        assert!(asking.body(Vec::new()).starts_with("old 0\n\nexample.com/log\n"));
        assert_eq!(asking.take(409, SIZE, "17\n", AT), Ok(None));
        assert_eq!(asking.proven(), Some((17, 41)));
        assert!(asking.body(vec![[7; 32]]).starts_with("old 17\nBwcH"));
        assert_eq!(asking.take(200, "text/plain", &two.line(AT), AT), Ok(Some(two.line(AT))));
        // The whole of it is known already: an empty proof.
        assert_eq!(two.asking(41).proven(), None);
        let mut restless = two.asking(0);
        for size in ["1\n", "2\n"] {
            assert_eq!(restless.take(409, SIZE, size, AT), Ok(None));
        }
        assert_eq!(restless.take(409, SIZE, "3\n", AT), Err(Unvouched::Restless));
    }

    #[test]
    fn only_a_line_of_the_witness_that_holds_now_is_taken() {
        let two = Two::new();
        let other = Two::new();
        let forged = other.line(AT);
        let late = AT.plus(crate::domain::minutes(9));
        for text in ["", "x", "—", &forged, &two.line(late), &two.line(AT)[3..]] {
            assert_eq!(two.asking(0).take(200, "text/plain", text, AT), Err(Unvouched::Unsigned), "{text}");
        }
        let among = format!("{forged}noise\n{}{}", two.line(late), two.line(AT));
        assert_eq!(two.asking(0).take(200, "text/plain", &among, AT), Ok(Some(two.line(AT))));
    }

    #[test]
    fn an_answer_that_means_another_log_is_an_alarm_and_no_other_one_is() {
        let two = Two::new();
        let taken = |status, media_type, text: &str| two.asking(17).take(status, media_type, text, AT);
        for (status, media_type, text, is_alarm) in [
            (409, SIZE, "42\n", true),
            (422, "application/json", "{}", true),
            (409, "text/plain", "42\n", false),
            (409, SIZE, "42", false),
            (409, SIZE, "042\n", false),
            (403, "", "", false),
            (404, "", "", false),
            (500, "", "\u{1b}[31m", false),
            (302, "", "", false),
        ] {
            let error = taken(status, media_type, text).unwrap_err();
            assert_eq!(error.is_alarm(), is_alarm, "{status} {text:?}: {error}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
        assert!(matches!(taken(403, "", ""), Err(Unvouched::Untrusted { .. })));
        assert!(matches!(taken(404, "", ""), Err(Unvouched::UnknownLog { .. })));
        let plain = Unvouched::Other { status: 500, text: "no [31m room".to_owned() };
        assert_eq!(taken(500, "", "no\u{1b}[31m room\n"), Err(plain));
        // Asked for the size that it cosigned itself, a witness refuses only another root (409, and 422 in later drafts).
        for (status, media_type, text, is_alarm) in [
            (409, "text/plain", "the root differs\n", true),
            (409, SIZE, "41\n", true),
            (409, SIZE, "42\n", true),
            (422, "", "", true),
            (500, "", "", false),
        ] {
            let error = two.asking(41).take(status, media_type, text, AT).unwrap_err();
            assert_eq!(error.is_alarm(), is_alarm, "{status} {text:?}: {error}");
        }
        assert_eq!(two.asking(41).take(409, SIZE, "7\n", AT), Ok(None), "an older state of its own");
    }

    /// Two askers at a time, the server and a timer, were told of an older copy of the vault.
    #[test]
    fn a_witness_that_another_asker_brought_ahead_is_no_alarm_and_one_beyond_the_log_is() {
        let two = Two::new();
        let ahead = || two.asking(17).take(409, SIZE, "60\n", AT).unwrap_err();
        for (newest, is_alarm) in [(41, true), (59, true), (60, false), (61, false)] {
            let by_now = ahead().by_now(Some(newest));
            assert_eq!(by_now.is_alarm(), is_alarm, "{newest}: {by_now}");
        }
        // Nobody can say which of the two it is.
        let unsettled = ahead().by_now(None);
        assert_eq!(unsettled, Unvouched::Unsettled { seen: 60 });
        assert!(!unsettled.is_alarm() && unsettled.to_string().contains("an older copy of the vault"));
        for newest in [None, Some(1_000)] {
            let other = two.asking(17).take(422, "", "", AT).unwrap_err();
            assert!(other.by_now(newest).is_alarm(), "another history stays one");
        }
    }
}
