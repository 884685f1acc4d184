//! Contract §1: the error body, one shape everywhere.

use serde::Serialize;

use super::Text;
use crate::domain::RequestId;

/// The error body.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody<'a> {
    status_code: u16,
    error: &'a str,
    code: &'a str,
    message: &'a str,
    request_id: Text<RequestId>,
}

impl<'a> ErrorBody<'a> {
    /// `status` and `reason` are those of the status line, `code` is stable, `message` is one sentence.
    pub const fn new(
        status: u16,
        reason: &'a str,
        code: &'a str,
        message: &'a str,
        request: RequestId,
    ) -> Self {
        Self { status_code: status, error: reason, code, message, request_id: Text(request) }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ID, text},
        *,
    };

    #[test]
    fn an_error_has_five_keys() {
        let body =
            ErrorBody::new(404, "Not Found", "x_not_found", "No \"x\"", RequestId::from_bytes([0x11; 16]));
        assert_eq!(
            text(&body),
            format!(
                r#"{{"statusCode":404,"error":"Not Found","code":"x_not_found","message":"No \"x\"","requestId":"{ID}"}}"#
            )
        );
    }
}
