//! Checkpoints sent to a witness (C2SP `tlog-witness`): https alone, a listed host, no redirect.

use std::{str::FromStr, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, header};
use tokio::time::timeout;

use super::{calls::Outgoing, failure::Failure, hosts::ApiBase, session::Session};
use crate::domain::Invalid;

/// The time for one request, from the look-up of the name to the whole answer.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// The URL below which a witness takes checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessTarget(ApiBase);

impl WitnessTarget {
    /// Returns the host, with its port unless it is 443.
    pub fn host(&self) -> String {
        self.0.authority()
    }
}

impl FromStr for WitnessTarget {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid =
            |_| Invalid::new("witness", "an https URL of host and path, like https://w.example.com/witness");
        text.parse().map(Self).map_err(invalid)
    }
}

/// A witness's answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessReply {
    /// The HTTP status.
    pub status: u16,
    /// The type of the body.
    pub media_type: String,
    /// The body.
    pub text: String,
}

impl Outgoing {
    /// Returns whether the witness's host may be called.
    pub fn allows_witness(&self, witness: &WitnessTarget) -> bool {
        self.allows(&witness.0)
    }

    /// Sends a checkpoint with its proof, once.
    ///
    /// # Errors
    /// The host is not listed, or gave no answer of text within 5 seconds.
    pub async fn add_checkpoint(
        &self,
        witness: &WitnessTarget,
        body: String,
    ) -> Result<WitnessReply, Failure> {
        let WitnessTarget(base) = witness;
        if !self.allows(base) {
            return Err(Failure::ForbiddenAddress);
        }
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/add-checkpoint", base.path))
            .header(header::HOST, base.authority())
            .header(header::USER_AGENT, concat!("sealroom/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        let request = request.body(Full::new(Bytes::from(body))).map_err(|_| Failure::Broken)?;
        let sending = async { Session::new(&self.tls, base).send(request).await };
        let answer = timeout(ATTEMPT_MAX, sending).await.map_err(|_| Failure::TimedOut)??;
        let media_type = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let text = std::str::from_utf8(answer.body.expose()).map_err(|_| Failure::Unreadable)?.to_owned();
        Ok(WitnessReply {
            status: answer.status,
            media_type: media_type.unwrap_or_default().to_owned(),
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_https_and_has_a_host_and_a_path_alone() {
        assert_eq!(
            "https://W.example.com:8443/a/".parse::<WitnessTarget>().unwrap().host(),
            "w.example.com:8443"
        );
        for text in [
            "",
            "http://w.example.com",
            "https://ada@w.example.com",
            "https://w.example.com/?x",
            "w.example.com",
        ] {
            assert!(text.parse::<WitnessTarget>().is_err(), "{text}");
        }
    }
}
