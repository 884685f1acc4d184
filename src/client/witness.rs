//! Another host as a witness of a log: C2SP `tlog-witness`, as its client.

use std::str::FromStr;

use hyper::Method;

use super::{
    Client, Endpoint, EndpointError, Error,
    call::{As, Call},
};

/// The longest answer that is read: a witness with a few keys has some hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The URL below which a witness takes checkpoints: `https://HOST/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessUrl {
    /// The server.
    pub endpoint: Endpoint,
    /// The path before `/add-checkpoint`, without a slash at its end.
    pub prefix: String,
}

impl FromStr for WitnessUrl {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::Scheme)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let prefix = path.trim_end_matches('/');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
        if !prefix.bytes().all(is_plain) {
            return Err(EndpointError::Path);
        }
        let endpoint: Endpoint = format!("{scheme}://{authority}").parse()?;
        Ok(Self { endpoint, prefix: prefix.to_owned() })
    }
}

/// The answer of a witness, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The type of the body.
    pub media_type: String,
    /// The body.
    pub text: String,
}

impl Client {
    /// Sends a checkpoint to a witness, without a token.
    ///
    /// # Errors
    /// There is no answer, or one that no witness gives: too long, or no text.
    pub async fn add_checkpoint(&self, prefix: &str, body: String) -> Result<WitnessAnswer, Error> {
        let call = Call::new(Method::POST, format!("{prefix}/add-checkpoint")).with_text(body);
        let call = Call { speaker: As::Nobody, ..call };
        let answer = match self.send(&call, None).await {
            // A kept connection that the witness has closed: nothing was sent.
            Err(error) if error.is_unsent() => self.send(&call, None).await?,
            answer => answer?,
        };
        let bytes = answer.body.expose();
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= ANSWER_BYTES_MAX);
        let text = text.ok_or_else(|| self.foreign(answer.status))?.to_owned();
        Ok(WitnessAnswer {
            status: answer.status.as_u16(),
            media_type: answer.header("content-type").unwrap_or_default().to_owned(),
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_has_a_server_and_a_prefix() {
        for (text, endpoint, prefix) in [
            ("https://w.example.com", "https://w.example.com", ""),
            ("https://w.example.com/", "https://w.example.com", ""),
            ("https://w.example.com:8443/a/b/", "https://w.example.com:8443", "/a/b"),
            ("http://[::1]:80/witness", "http://[::1]", "/witness"),
        ] {
            let url: WitnessUrl = text.parse().unwrap();
            assert_eq!((url.endpoint.to_string().as_str(), url.prefix.as_str()), (endpoint, prefix));
        }
        for text in [
            "",
            "w.example.com",
            "ftp://w.example.com",
            "https://",
            "https://ada@w.example.com/x",
            "https://w/?x",
            "https://w/a b",
            "https://w/#a",
            "unix:/run/w.sock",
        ] {
            assert!(text.parse::<WitnessUrl>().is_err(), "{text}");
        }
    }
}
