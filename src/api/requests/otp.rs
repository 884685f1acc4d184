//! Contract §6: a user's own second factor.

use super::Request;
use crate::{
    api::{bad_request::BadRequest, fields::Fields},
    domain::Secret,
};

/// `POST /users/me/otp`.
pub struct BeginOtp {
    /// The caller's password.
    pub current_password: Secret,
}

impl Request for BeginOtp {
    const NAME: &'static str = "BeginOtp";
    const FIELDS: &'static [&'static str] = &["currentPassword"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        Ok(Self { current_password: fields.required("currentPassword")?.secret()? })
    }
}

/// `POST /users/me/otp/confirm`.
pub struct ConfirmOtp {
    /// The first code of the authenticator.
    pub otp: Secret,
}

impl Request for ConfirmOtp {
    const NAME: &'static str = "ConfirmOtp";
    const FIELDS: &'static [&'static str] = &["otp"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        Ok(Self { otp: fields.required("otp")?.secret()? })
    }
}

/// `POST /users/me/otp/codes` and `DELETE /users/me/otp`.
pub struct OwnOtp {
    /// The caller's password.
    pub current_password: Secret,
    /// A code of the authenticator, or a one-time code.
    pub otp: Secret,
}

impl Request for OwnOtp {
    const NAME: &'static str = "OwnOtp";
    const FIELDS: &'static [&'static str] = &["currentPassword", "otp"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let current_password = fields.required("currentPassword")?.secret()?;
        Ok(Self { current_password, otp: fields.required("otp")?.secret()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{refused, taken},
        *,
    };

    #[test]
    fn a_change_of_the_second_factor_carries_what_proves_the_user() {
        assert_eq!(taken::<BeginOtp>(r#"{"currentPassword":"a b"}"#).current_password.expose(), b"a b");
        assert_eq!(taken::<ConfirmOtp>(r#"{"otp":"123456"}"#).otp.expose(), b"123456");
        let own: OwnOtp = taken(r#"{"currentPassword":"a b","otp":"abcde-fghjk"}"#);
        assert_eq!((own.current_password.expose(), own.otp.expose()), (&b"a b"[..], &b"abcde-fghjk"[..]));
        assert_eq!(refused::<BeginOtp>("{}").message, "currentPassword is required");
        assert_eq!(refused::<ConfirmOtp>(r#"{"otp":123456}"#).message, "otp must be a string");
        assert_eq!(refused::<OwnOtp>(r#"{"currentPassword":"x"}"#).message, "otp is required");
    }
}
