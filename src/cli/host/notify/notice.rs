//! A notice, and the message that is made of it.

use serde_json::{Map, Value, json};

use crate::{
    crypto::random::{self, RandomError},
    domain::{RequestId, Timestamp},
};

/// The most single cases that a message lists; the count has them all.
const CASES_MAX: usize = 16;

/// A fact that a person must hear of. It holds names and numbers, never a secret.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli::host) struct Notice {
    pub(super) kind: &'static str,
    pub(super) count: u64,
    facts: Map<String, Value>,
    cases: Vec<Value>,
}

/// A notice as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) kind: &'static str,
    /// Seconds since 1970.
    pub(super) seconds: u64,
    pub(super) body: String,
}

impl Notice {
    /// Creates a notice with these facts, a JSON object.
    pub(super) fn new(kind: &'static str, facts: Value) -> Self {
        let facts = match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        };
        Self { kind, count: 1, facts, cases: Vec::new() }
    }

    /// Creates a notice of one case, of which a message lists several.
    pub(super) fn of_case(kind: &'static str, case: Value) -> Self {
        Self { cases: vec![case], ..Self::new(kind, Value::Null) }
    }

    /// Takes in a later notice of the same kind.
    pub(super) fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.facts = later.facts;
        self.cases.extend(later.cases);
        self.cases.truncate(CASES_MAX);
    }

    /// Makes the message.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(super) fn into_message(self, vault: Option<&str>, now: Timestamp) -> Result<Message, RandomError> {
        let id = format!("msg_{}", RequestId::new(now, random::bytes()?));
        let mut data = self.facts;
        data.insert("vault".to_owned(), json!(vault));
        data.insert("count".to_owned(), json!(self.count));
        if !self.cases.is_empty() {
            data.insert("cases".to_owned(), Value::Array(self.cases));
        }
        let body = json!({ "type": self.kind, "timestamp": now.to_string(), "data": data }).to_string();
        Ok(Message { id, kind: self.kind, seconds: now.millis() / 1_000, body })
    }
}
