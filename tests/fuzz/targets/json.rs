//! Bodies: strict JSON, then each request's own fields.

use serde_json::value::RawValue;

use super::assert_silent;
use crate::api::{
    bad_request::CODES,
    parse,
    requests::{
        CreateIntegration, CreateProject, CreateToken, CreateUser, DeleteUser, Login, Refresh, Request,
        RollbackCredentials, RotateCredentials, UpdateIntegration, UpdateUser,
    },
    strict,
};

pub fn run(input: &[u8]) {
    let is_strict = match strict::check(input) {
        Ok(text) => {
            assert_eq!(text.as_bytes(), input);
            serde_json::from_str::<&RawValue>(text).expect("strict JSON is JSON");
            true
        }
        Err(error) => {
            assert_silent(error);
            false
        }
    };
    refused::<CreateIntegration>(input, is_strict);
    refused::<UpdateIntegration>(input, is_strict);
    refused::<RotateCredentials>(input, is_strict);
    refused::<RollbackCredentials>(input, is_strict);
    refused::<CreateProject>(input, is_strict);
    refused::<CreateToken>(input, is_strict);
    refused::<CreateUser>(input, is_strict);
    refused::<UpdateUser>(input, is_strict);
    refused::<DeleteUser>(input, is_strict);
    refused::<Login>(input, is_strict);
    refused::<Refresh>(input, is_strict);
    verbatim(input);
}

fn refused<T: Request>(input: &[u8], is_strict: bool) {
    match parse::<T>(input) {
        Ok(_) => assert!(is_strict, "{} takes what is not strict", T::NAME),
        Err(bad) => {
            assert!(CODES.contains(&bad.code), "{}", bad.code);
            assert_silent(bad);
        }
    }
}

/// Credentials come out as they went in, byte for byte.
fn verbatim(input: &[u8]) {
    if let Ok(request) = parse::<RotateCredentials>(input) {
        let text = request.credentials.expose();
        assert!(input.windows(text.len()).any(|part| part == text), "credentials were written anew");
        assert!(text.starts_with(b"{") && text != b"{}");
    }
}
