//! Records: an event's own JSON text. These are the bytes on disk, the bytes of an export, and the leaf of the tree.
//!
//! Members in this order, no white space between tokens, absent values `null`:
//! `v, sequence, time, actor, action, outcome, integrationId, revision, provider, project, requestId, peer, detail`.

use std::{
    fmt::Display,
    io::{self, Write},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{detail, tree::Hash};
use crate::{
    api::responses::Text,
    domain::{
        Action, Actor, Event, IntegrationId, Outcome, Peer, ProjectId, Provider, RequestId, Revision,
        Timestamp,
    },
};

/// The record format that this program writes and reads.
const VERSION: u8 = 1;
/// The longest record; a longer one is refused on reading and cannot be made.
pub const RECORD_BYTES_MAX: usize = 1024;
/// The bytes that most records need, with those beside them in the file.
const RECORD_BYTES_USUAL: usize = 512;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire<'a> {
    v: u8,
    sequence: u64,
    time: String,
    actor: String,
    action: String,
    outcome: String,
    integration_id: Option<String>,
    revision: Option<u64>,
    provider: Option<String>,
    project: Option<String>,
    request_id: Option<String>,
    peer: Option<String>,
    #[serde(borrow)]
    detail: &'a RawValue,
}

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its place in the log.
    pub sequence: u64,
    /// The time.
    pub time: Timestamp,
    /// The actor.
    pub actor: Actor,
    /// The action.
    pub action: Action,
    /// The outcome.
    pub outcome: Outcome,
    /// The integration, if any.
    pub integration: Option<IntegrationId>,
    /// Its revision.
    pub revision: Option<Revision>,
    /// Its provider.
    pub provider: Option<Provider>,
    /// The project asked for.
    pub project: Option<ProjectId>,
    /// By which request.
    pub request: Option<RequestId>,
    /// From where.
    pub peer: Option<Peer>,
}

/// The bytes are no record of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no record")]
pub struct BadRecord;

/// The record of an event at a place in the log; at most [`RECORD_BYTES_MAX`] bytes.
pub fn encode(sequence: u64, event: &Event) -> Vec<u8> {
    let detail = detail::to_json(&event.detail);
    let project = event.project.as_ref();
    let record = encode_with(sequence, event, project, &detail);
    if record.len() <= RECORD_BYTES_MAX {
        return record;
    }
    let record = encode_with(sequence, event, project, &detail::summarized(&detail));
    if record.len() <= RECORD_BYTES_MAX {
        return record;
    }
    // A project of 200 quotation marks beside the longest e-mail address: it is named by its hash.
    encode_with(sequence, event, None, &detail::summarized_with(&detail, project))
}

/// Reads a record.
///
/// # Errors
/// It is too long, not canonical, of another version, or names what does not exist.
pub fn decode(bytes: &[u8]) -> Result<Record, BadRecord> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(BadRecord);
    }
    let wire: Wire<'_> = serde_json::from_slice(bytes).map_err(|_| BadRecord)?;
    let canonical = serde_json::to_vec(&wire).map_err(|_| BadRecord)?;
    if wire.v != VERSION || canonical != bytes || !detail::is_canonical(wire.detail.get()) {
        return Err(BadRecord);
    }
    Ok(Record {
        sequence: wire.sequence,
        time: parse(&wire.time)?,
        actor: parse(&wire.actor)?,
        action: parse(&wire.action)?,
        outcome: parse(&wire.outcome)?,
        integration: wire.integration_id.as_deref().map(parse).transpose()?,
        revision: wire.revision.map(Revision::new),
        provider: wire.provider.as_deref().map(parse).transpose()?,
        project: wire
            .project
            .as_deref()
            .map(|text| ProjectId::recorded(text).ok_or(BadRecord))
            .transpose()?,
        request: wire.request_id.as_deref().map(parse).transpose()?,
        peer: wire.peer.as_deref().map(parse).transpose()?,
    })
}

/// Returns the detail of a record that [`decode`] reads.
///
/// # Errors
/// As [`decode`].
pub(super) fn detail_of(bytes: &[u8]) -> Result<serde_json::Value, BadRecord> {
    let wire: Wire<'_> = serde_json::from_slice(bytes).map_err(|_| BadRecord)?;
    serde_json::from_str(wire.detail.get()).map_err(|_| BadRecord)
}

/// A record as the API shows it: with its leaf hash as the last member.
pub fn to_api_json(record: &[u8], leaf_hash: &Hash) -> String {
    let text = String::from_utf8_lossy(record);
    let open = text.strip_suffix('}').unwrap_or(&text);
    format!("{open},\"leafHash\":\"{}\"}}", STANDARD.encode(leaf_hash))
}

/// The first line of a CSV export.
pub const CSV_HEADER: &str =
    "sequence,time,actor,action,outcome,integrationId,revision,provider,project,requestId,peer,detail\r\n";

/// Writes a record as a line of CSV (RFC 4180) for people, with formula characters neutralised.
///
/// # Errors
/// It is no record.
pub fn write_csv(bytes: &[u8], into: &mut Vec<u8>) -> Result<(), BadRecord> {
    let wire: Wire<'_> = serde_json::from_slice(bytes).map_err(|_| BadRecord)?;
    let fields = [
        wire.sequence.to_string(),
        wire.time,
        wire.actor,
        wire.action,
        wire.outcome,
        wire.integration_id.unwrap_or_default(),
        wire.revision.map(|revision| revision.to_string()).unwrap_or_default(),
        wire.provider.unwrap_or_default(),
        wire.project.unwrap_or_default(),
        wire.request_id.unwrap_or_default(),
        wire.peer.unwrap_or_default(),
        wire.detail.get().to_owned(),
    ];
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(into);
    writer.write_record(fields.map(plain)).map_err(|_| BadRecord)?;
    writer.flush().map_err(|_| BadRecord)
}

/// A spreadsheet takes what begins so for a formula (OWASP, CSV injection).
fn plain(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}

fn encode_with(sequence: u64, event: &Event, project: Option<&ProjectId>, detail: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_BYTES_USUAL);
    write_to(&mut bytes, sequence, event, project, detail).expect("plain data into memory cannot fail");
    bytes
}

/// Writes the members of [`Wire`], each straight to its place, since every read writes one of these. Only an actor and a
/// project can hold what JSON escapes.
fn write_to(
    bytes: &mut Vec<u8>,
    sequence: u64,
    event: &Event,
    project: Option<&ProjectId>,
    detail: &str,
) -> io::Result<()> {
    let Event { time, actor, action, outcome, integration, revision, provider, request, peer, .. } = event;
    write!(bytes, r#"{{"v":{VERSION},"sequence":{sequence},"time":"{time}","actor":"#)?;
    match actor {
        Actor::App(id) => write!(bytes, r#""app:{id}""#)?,
        Actor::User(_) | Actor::Host(_) => serde_json::to_writer(&mut *bytes, &Text(actor))?,
    }
    let (action, outcome) = (action.as_str(), outcome.as_str());
    write!(bytes, r#","action":"{action}","outcome":"{outcome}""#)?;
    write_member(bytes, "integrationId", integration.as_ref())?;
    match revision {
        Some(revision) => write!(bytes, r#","revision":{}"#, revision.number())?,
        None => bytes.extend_from_slice(br#","revision":null"#),
    }
    write_member(bytes, "provider", provider.map(Provider::as_str))?;
    bytes.extend_from_slice(br#","project":"#);
    serde_json::to_writer(&mut *bytes, &project.map(ProjectId::as_str))?;
    write_member(bytes, "requestId", request.as_ref())?;
    write_member(bytes, "peer", peer.as_ref())?;
    write!(bytes, r#","detail":{detail}}}"#)
}

/// Writes a member that needs no escapes.
fn write_member(bytes: &mut Vec<u8>, name: &str, value: Option<impl Display>) -> io::Result<()> {
    match value {
        Some(value) => write!(bytes, r#","{name}":"{value}""#),
        None => write!(bytes, r#","{name}":null"#),
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, BadRecord> {
    text.parse().map_err(|_| BadRecord)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Detail, DetailKey, TokenId};

    fn event() -> Event {
        let id = "0192f0c1-7b3c-7def-8000-0123456789ab";
        Event {
            integration: Some(id.parse().unwrap()),
            revision: Some(Revision::new(3)),
            provider: Some(Provider::Github),
            project: Some("acme/app".parse().unwrap()),
            request: Some(id.parse().unwrap()),
            peer: Some("127.0.0.1".parse().unwrap()),
            ..Event::new(
                Timestamp::from_millis(1_764_000_000_000),
                Actor::App(id.parse::<TokenId>().unwrap()),
                Action::CredentialsRead,
            )
        }
    }

    #[test]
    fn golden_record() {
        let id = "0192f0c1-7b3c-7def-8000-0123456789ab";
        let expected = format!(
            "{{\"v\":1,\"sequence\":41,\"time\":\"2025-11-24T16:00:00.000Z\",\"actor\":\"app:{id}\",\
             \"action\":\"credentials.read\",\"outcome\":\"allowed\",\"integrationId\":\"{id}\",\"revision\":3,\
             \"provider\":\"github\",\"project\":\"acme/app\",\"requestId\":\"{id}\",\"peer\":\"127.0.0.1\",\
             \"detail\":{{}}}}"
        );
        assert_eq!(String::from_utf8(encode(41, &event())).unwrap(), expected);
        assert_eq!(decode(expected.as_bytes()).unwrap().sequence, 41);
        assert!(
            to_api_json(expected.as_bytes(), &[0; 32])
                .ends_with(",\"leafHash\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}")
        );
    }

    #[test]
    fn what_is_not_canonical_is_no_record() {
        let good = String::from_utf8(encode(0, &event())).unwrap();
        for bad in [
            good.replace("\"v\":1", "\"v\":2"),
            good.replace("\"v\":1,", "\"v\":1, "),
            good.replace("credentials.read", "credentials.reed"),
            good.replace("\"detail\":{}", "\"detail\":{},\"x\":1"),
            good.replace("\"detail\":{}", "\"detail\":null"),
            good.replace("\"detail\":{}", "\"detail\":{\"count\":1,\"count\":1}"),
            good.replace("\"detail\":{}", "\"detail\":{ }"),
            good.replace("\"peer\":\"127.0.0.1\",", ""),
            format!("{good}\n"),
            String::new(),
        ] {
            assert_eq!(decode(bad.as_bytes()).map(drop), Err(BadRecord), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_event_makes_a_record_of_more_than_1_kib(
            name in r#"[\x01"\\äx]{0,400}"#,
            items in prop::collection::vec(r#"["\\x]{0,200}"#, 0..100),
            local in "[a-z]{1,240}",
            project in r#"[a-z"\\]{1,99}/["\\]{1,100}"#,
        ) {
            let detail = Detail::NONE
                .text(DetailKey::Name, &name)
                .text(DetailKey::Email, format!("{local}@example.com"))
                .list(DetailKey::Projects, &items)
                .list(DetailKey::Providers, &items);
            let actor = Actor::User(format!("{local}@example.com").parse().unwrap());
            let peer = Some("1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap());
            let event = Event { detail, actor, project: Some(project.parse().unwrap()), peer, ..event() };
            let record = encode(u64::MAX, &event);
            prop_assert!(record.len() <= RECORD_BYTES_MAX, "{}", record.len());
            prop_assert!(decode(&record).is_ok());
        }
    }
}
