//! The routes of second factors, and the login with one.

use hyper::Method;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Client, Error, Pair, SecretText, Session, User,
    answers::Changed,
    call::{As, Call},
    requests::{LoginBody, OwnOtpBody},
    routes::{is_text, path_of},
};
use crate::{api::responses::to_secret_json, domain::Secret};

/// A second factor that was begun, for an authenticator.
#[derive(Deserialize)]
pub struct BegunOtp {
    /// The shared secret in base32.
    pub secret: SecretText,
    /// The same as an `otpauth:` URI.
    pub uri: SecretText,
}

/// One-time codes, shown once.
#[derive(Deserialize)]
pub struct OneTimeCodes {
    /// The codes, in the order of their numbers.
    pub codes: Vec<SecretText>,
}

/// The caller's own second factor.
const OWN: &str = "/sfp/api/users/me/otp";

impl Client {
    /// Logs in with a code of the second factor, without saving the session.
    ///
    /// # Errors
    /// [`Error`], as for every method here; a wrong code is a refusal with the code `bad_login`.
    pub async fn login_with_code(
        &self,
        email: &str,
        password: &Secret,
        otp: Option<&Secret>,
    ) -> Result<Session, Error> {
        is_text(password)?;
        otp.map_or(Ok(()), is_text)?;
        let body = to_secret_json(&LoginBody { email, password, otp });
        let call = Call::new(Method::POST, "/sfp/api/auth/login").with_body(body);
        let pair: Pair = self.json(Call { speaker: As::Nobody, ..call }).await?;
        Ok(self.session(pair))
    }

    /// Begins to set the caller's second factor.
    pub async fn begin_otp(&self, current_password: &Secret) -> Result<BegunOtp, Error> {
        self.own_otp(Method::POST, OWN, Some(current_password), None).await
    }

    /// Sets the caller's second factor with its first code.
    pub async fn confirm_otp(&self, otp: &Secret) -> Result<OneTimeCodes, Error> {
        self.own_otp(Method::POST, &format!("{OWN}/confirm"), None, Some(otp)).await
    }

    /// Replaces the caller's one-time codes.
    pub async fn renew_otp_codes(
        &self,
        current_password: &Secret,
        otp: &Secret,
    ) -> Result<OneTimeCodes, Error> {
        self.own_otp(Method::POST, &format!("{OWN}/codes"), Some(current_password), Some(otp)).await
    }

    /// Removes the caller's second factor.
    pub async fn remove_own_otp(&self, current_password: &Secret, otp: &Secret) -> Result<User, Error> {
        let changed: Changed = self.own_otp(Method::DELETE, OWN, Some(current_password), Some(otp)).await?;
        Ok(changed.user)
    }

    /// Removes another user's second factor.
    pub async fn remove_otp(&self, email: &str) -> Result<User, Error> {
        let path = path_of("users", email) + "/otp";
        self.json::<Changed>(Call::new(Method::DELETE, path)).await.map(|changed| changed.user)
    }

    async fn own_otp<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        current_password: Option<&Secret>,
        otp: Option<&Secret>,
    ) -> Result<T, Error> {
        [current_password, otp].into_iter().flatten().try_for_each(is_text)?;
        let body = to_secret_json(&OwnOtpBody { current_password, otp });
        self.json(Call::new(method, path).with_body(body)).await
    }
}
