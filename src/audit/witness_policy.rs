//! Trust policies: C2SP `tlog-policy`, which names logs, witnesses and how many of them are needed.
//!
//! ```text
//! log <verifier key>
//! witness east <verifier key> https://east.example.com/witness
//! witness west <verifier key> https://west.example.com/witness
//! group both all east west
//! quorum both
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::{
    checkpoint::{BadNote, VerifierKey},
    cosignature::WitnessKey,
};
use crate::domain::Timestamp;

/// The longest policy file: 32 logs, witnesses and groups, as the specification recommends, and comments.
pub const POLICY_BYTES_MAX: usize = 64 * 1024;
/// The name of the quorum that needs no witness.
const NONE: &str = "none";

/// A line of a policy file that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub struct BadPolicy {
    /// The line, from 1; past the last one where a line is missing.
    pub line: usize,
    /// The rule, as a sentence without its end.
    pub rule: &'static str,
}

/// A witness of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The name that the policy gives it.
    pub name: String,
    /// The key that it cosigns with.
    pub key: WitnessKey,
    /// The submission prefix, where it takes checkpoints.
    pub url: Option<String>,
}

/// A witness or a group, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    needed: usize,
    members: Vec<Member>,
}

/// A trust policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    /// None needs no witness.
    quorum: Option<Member>,
}

/// The witnesses that cosigned one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The name of each and the time of its cosignature, in the policy's order.
    pub by: Vec<(String, Timestamp)>,
    /// The names of the others.
    pub missing: Vec<String>,
    /// Returns whether they are enough for the policy.
    pub is_enough: bool,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// A line breaks a rule, or there is not exactly one quorum.
    pub fn read(bytes: &[u8]) -> Result<Self, BadPolicy> {
        let mut reading = Reading::default();
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let fails = |rule| BadPolicy { line: at + 1, rule };
            if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
                return Err(fails("no control characters but tabs and line ends, and so no CRLF"));
            }
            let words: Vec<&[u8]> =
                line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
            match words.split_first() {
                None => {}
                Some((first, _)) if first.starts_with(b"#") => {}
                Some((first, rest)) => reading.line(first, rest).map_err(fails)?,
            }
        }
        let Reading { logs, witnesses, groups, quorum, .. } = reading;
        let count = bytes.split_inclusive(|byte| *byte == b'\n').count();
        let quorum = quorum.ok_or(BadPolicy { line: count + 1, rule: "a quorum line is missing" })?;
        Ok(Self { logs, witnesses, groups, quorum })
    }

    /// Returns the keys of the logs; without any, every log is accepted.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// Returns the witnesses.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Finds the witnesses that cosigned a checkpoint.
    ///
    /// # Errors
    /// It is no signed note, or a line of a listed witness does not hold: such a note is refused whole.
    pub fn vouched(&self, note: &str, now: Timestamp) -> Result<Vouched, BadNote> {
        let times: Vec<Option<Timestamp>> =
            self.witnesses.iter().map(|witness| witness.key.cosigned(note, now)).collect::<Result<_, _>>()?;
        let named = || self.witnesses.iter().map(|witness| &witness.name).zip(&times);
        Ok(Vouched {
            by: named().filter_map(|(name, time)| Some((name.clone(), (*time)?))).collect(),
            missing: named().filter(|(_, time)| time.is_none()).map(|(name, _)| name.clone()).collect(),
            is_enough: self.quorum.is_none_or(|quorum| self.holds(quorum, &times)),
        })
    }

    /// Groups refer to earlier ones only, so that this ends.
    fn holds(&self, member: Member, times: &[Option<Timestamp>]) -> bool {
        match member {
            Member::Witness(at) => times[at].is_some(),
            Member::Group(at) => {
                let Group { needed, members } = &self.groups[at];
                members.iter().filter(|member| self.holds(**member, times)).count() >= *needed
            }
        }
    }
}

/// A policy as far as it is read.
#[derive(Default)]
struct Reading {
    logs: Vec<VerifierKey>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Option<Option<Member>>,
    /// The kind of each name; names are octets.
    names: BTreeMap<Vec<u8>, Member>,
    /// The names that are a member of a group already.
    used: BTreeSet<Vec<u8>>,
}

impl Reading {
    fn line(&mut self, keyword: &[u8], words: &[&[u8]]) -> Result<(), &'static str> {
        match (keyword, words) {
            (b"log", [key] | [key, _]) => self.log(key),
            (b"witness", [name, key]) => self.witness(name, key, None),
            (b"witness", [name, key, url]) => self.witness(name, key, Some(url)),
            (b"group", [name, needed, members @ ..]) if !members.is_empty() => {
                self.group(name, needed, members)
            }
            (b"quorum", [name]) => self.quorum(name),
            (b"log", _) => Err("a log line is: log <vkey> [<url>]"),
            (b"witness", _) => Err("a witness line is: witness <name> <vkey> [<url>]"),
            (b"group", _) => Err("a group line is: group <name> all|any|<k> <name>..."),
            (b"quorum", _) => Err("a quorum line is: quorum <name>"),
            _ => Err("a line begins with log, witness, group, quorum or #"),
        }
    }

    fn log(&mut self, key: &[u8]) -> Result<(), &'static str> {
        let key: Option<VerifierKey> = std::str::from_utf8(key).ok().and_then(|key| key.parse().ok());
        let key = key.ok_or("this is no verifier key of a log (Ed25519)")?;
        if self.logs.iter().any(|other| other.public() == key.public()) {
            return Err("this key of a log is listed twice");
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&[u8]>) -> Result<(), &'static str> {
        let key: Option<WitnessKey> = std::str::from_utf8(key).ok().and_then(|key| key.parse().ok());
        let key = key.ok_or("this is no verifier key of a witness (Ed25519 cosignatures, type 0x04)")?;
        if self.witnesses.iter().any(|other| other.key.public() == key.public()) {
            return Err("this key of a witness is listed twice");
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.witnesses.push(Witness { name: text(name), key, url: url.map(text) });
        Ok(())
    }

    fn group(&mut self, name: &[u8], needed: &[u8], members: &[&[u8]]) -> Result<(), &'static str> {
        let mut found = Vec::new();
        for member in members {
            found.push(*self.names.get(*member).ok_or("a group names what no line before it defines")?);
            if !self.used.insert(member.to_vec()) {
                return Err("a witness or group can be a member only once");
            }
        }
        let needed = match needed {
            b"all" => found.len(),
            b"any" => 1,
            number => {
                let number = std::str::from_utf8(number).ok().and_then(super::witness::size);
                let number = number.and_then(|number| usize::try_from(number).ok());
                number.filter(|number| (1..=found.len()).contains(number)).ok_or(
                    "the number of members that a group needs is all, any, or from 1 to their number",
                )?
            }
        };
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { needed, members: found });
        Ok(())
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let quorum = match name {
            name if name == NONE.as_bytes() => None,
            name => Some(*self.names.get(name).ok_or("the quorum names what no line before it defines")?),
        };
        match self.quorum.replace(quorum) {
            None => Ok(()),
            Some(_) => Err("there is a second quorum line"),
        }
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<(), &'static str> {
        if name == NONE.as_bytes() || self.names.insert(name.to_vec(), member).is_some() {
            return Err("this name is taken");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{checkpoint, cosignature::cosign},
        crypto::sign::LogKey,
    };

    const AT: Timestamp = Timestamp::from_millis(1_795_514_400_000);

    struct Five {
        keys: Vec<LogKey>,
        text: String,
        log: LogKey,
    }

    impl Five {
        fn new() -> Self {
            let keys: Vec<LogKey> = (0..5).map(|_| LogKey::generate().unwrap()).collect();
            let line = |(at, key): (usize, &LogKey)| {
                format!("witness w{at} {}\n", WitnessKey::new(&format!("example.com/{at}"), key.public()))
            };
            let text = keys.iter().enumerate().map(line).collect();
            Self { keys, text, log: LogKey::generate().unwrap() }
        }

        fn read(&self, rest: &str) -> Result<Policy, BadPolicy> {
            Policy::read((self.text.clone() + rest).as_bytes())
        }

        /// A checkpoint with the cosignatures of these.
        fn note(&self, by: &[usize]) -> String {
            let mut note = checkpoint::note("example.com/log", 41, &[7; 32], &[], &[&self.log]);
            let signed = note[..=note.rfind("\n\n").unwrap()].to_owned();
            for at in by {
                note += &cosign(&signed, &format!("example.com/{at}"), &self.keys[*at], AT);
            }
            note
        }
    }

    #[test]
    fn a_quorum_is_what_its_groups_need_and_nothing_less() {
        let five = Five::new();
        let nested = "group a 2 w0 w1 w2\ngroup b any w3 w4\ngroup both all a b\nquorum both\n";
        for (policy, by, enough) in [
            ("quorum none\n", &[][..], true),
            ("quorum w1\n", &[1], true),
            ("quorum w1\n", &[0, 2, 3, 4], false),
            ("group g 3 w0 w1 w2 w3 w4\nquorum g\n", &[4, 0, 2], true),
            ("group g 3 w0 w1 w2 w3 w4\nquorum g\n", &[4, 0], false),
            ("group g 2 w0 w1\nquorum g\n", &[0, 0, 0], false),
            (nested, &[0, 2, 4], true),
            (nested, &[0, 1, 2], false),
            (nested, &[0, 3, 4], false),
            (nested, &[], false),
        ] {
            let vouched = five.read(policy).unwrap().vouched(&five.note(by), AT).unwrap();
            assert_eq!(vouched.is_enough, enough, "{policy} {by:?}");
            let names: BTreeSet<String> = by.iter().map(|at| format!("w{at}")).collect();
            assert_eq!(vouched.by.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(), names);
            assert_eq!(vouched.by.len() + vouched.missing.len(), 5);
        }
    }

    #[test]
    fn a_forged_line_of_one_witness_refuses_the_whole_note() {
        let five = Five::new();
        let policy = five.read("group g any w0 w1\nquorum g\n").unwrap();
        let foreign = Five::new();
        let line = foreign.note(&[1]).lines().last().unwrap().to_owned();
        // A key id of its own: a stranger of the same name.
        assert!(policy.vouched(&(five.note(&[0]) + &line + "\n"), AT).unwrap().is_enough);
        let other = five.note(&[1]).replace("\n41\n", "\n42\n");
        let line = other.lines().last().unwrap();
        let mut signed = five.note(&[0]).replace("\n41\n", "\n43\n");
        signed = signed + line + "\n";
        assert_eq!(policy.vouched(&signed, AT), Err(BadNote::BadSignature));
    }

    #[test]
    fn every_rule_of_the_file_is_kept() {
        let five = Five::new();
        let log = VerifierKey::new("example.com/log", five.log.public());
        let first = five.text.lines().next().unwrap().split(' ').nth(2).unwrap().to_owned();
        let good = format!("# a comment\n \t# another\n\n \tlog\t{log} https://example.com \nquorum  w0\t\n");
        let read = five.read(&good).unwrap();
        assert_eq!((read.logs(), read.witnesses().len()), (&[log.clone()][..], 5));
        let other = Five::new();
        let second = VerifierKey::new("example.com/log", other.log.public());
        let key = other.text.lines().next().unwrap().split(' ').nth(2).unwrap();
        let two = format!("log {log}\nlog {second}\nwitness new {key} https://example.com\nquorum new\n");
        let read = five.read(&two).unwrap();
        assert_eq!(read.logs(), [log.clone(), second]);
        assert_eq!(read.witnesses()[5].url.as_deref(), Some("https://example.com"));
        for (text, rule) in [
            ("", "a quorum line is missing"),
            ("quorum w9\n", "no line before"),
            ("quorum w0\nquorum w0\n", "second quorum"),
            ("quorum w0 w1\n", "quorum <name>"),
            ("quorum w0\r\n", "CRLF"),
            ("group g any w9\nquorum g\n", "no line before"),
            ("group g any g\nquorum g\n", "no line before"),
            ("group g any none\nquorum g\n", "no line before"),
            ("group g all\nquorum w0\n", "group <name>"),
            ("group g 0 w0\nquorum g\n", "from 1"),
            ("group g 2 w0\nquorum g\n", "from 1"),
            ("group g 01 w0\nquorum g\n", "from 1"),
            ("group g most w0\nquorum g\n", "from 1"),
            ("group g any w0 w0\nquorum g\n", "only once"),
            ("group g any w0\ngroup h any w0\nquorum g\n", "only once"),
            ("group w0 any w1\nquorum w0\n", "taken"),
            ("group none any w1\nquorum none\n", "taken"),
            (&format!("witness new {first}\nquorum new\n"), "twice"),
            (&format!("log {log}\nlog {log}\nquorum none\n"), "twice"),
            (&format!("log {first}\nquorum none\n"), "verifier key of a log"),
            (&format!("witness new {log}\nquorum none\n"), "verifier key of a witness"),
            ("witness new x\nquorum none\n", "verifier key of a witness"),
            ("log\nquorum none\n", "log <vkey>"),
            ("witness new\nquorum none\n", "witness <name>"),
            ("witnesses\nquorum none\n", "begins with"),
            ("Quorum none\n", "begins with"),
        ] {
            let error = five.read(text).unwrap_err();
            assert!(error.rule.contains(rule), "{text:?}: {error}");
        }
        assert_eq!(five.read("quorum w0\nx\n").unwrap_err().line, 7);
        // A quorum is missing after the last line, whether or not that one has its end.
        for (text, line) in [("", 6), ("log x\n", 6), ("#", 7), ("#\n", 7)] {
            assert_eq!(five.read(text).unwrap_err().line, line, "{text:?}");
        }
        assert!(Policy::read(b"quorum none").is_ok());
    }
}
