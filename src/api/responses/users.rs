//! Contract §6: users and sessions.

use std::time::Duration;

use serde::Serialize;

use super::{Exposed, Text, texts};
use crate::domain::{
    ApplicationToken, Email, Name, ProjectId, Role, Secret, Timestamp, TokenId, User, UserId,
};

/// The user object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserBody<'a> {
    id: Text<UserId>,
    email: Text<&'a Email>,
    first_name: Option<Text<&'a Name>>,
    last_name: Option<Text<&'a Name>>,
    role: Text<Role>,
    projects: Option<Vec<Text<&'a ProjectId>>>,
    disabled: bool,
    created_at: Text<Timestamp>,
    last_login_at: Option<Text<Timestamp>>,
    /// Present where a second factor is set; nothing else about it is ever shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    otp: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_password: Option<Exposed<'a>>,
}

impl<'a> UserBody<'a> {
    /// Creates the object, without the password hash.
    pub fn new(user: &'a User) -> Self {
        Self {
            id: Text(user.id),
            email: Text(&user.email),
            first_name: user.first_name.as_ref().map(Text),
            last_name: user.last_name.as_ref().map(Text),
            role: Text(user.role),
            projects: user.projects().map(texts),
            disabled: user.disabled,
            created_at: Text(user.created_at),
            last_login_at: user.last_login_at.map(Text),
            otp: user.factor.is_some(),
            initial_password: None,
        }
    }

    /// Adds the generated password, in the answer to a create; serialize with `to_secret_json`.
    #[must_use]
    pub fn with_initial_password(mut self, password: &'a Secret) -> Self {
        self.initial_password = Some(Exposed(password));
        self
    }
}

/// The answer to `PUT /users/{email}`.
#[derive(Serialize)]
pub struct UpdatedUser<'a> {
    success: bool,
    user: UserBody<'a>,
}

impl<'a> UpdatedUser<'a> {
    /// The user after the change.
    pub fn new(user: &'a User) -> Self {
        Self { success: true, user: UserBody::new(user) }
    }
}

/// A token by its id and name.
#[derive(Serialize)]
struct NamedToken<'a> {
    id: Text<TokenId>,
    name: Text<&'a Name>,
}

/// The answer to `POST /users/{email}/leave`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftUser<'a> {
    success: bool,
    user: UserBody<'a>,
    revoked_tokens: Vec<NamedToken<'a>>,
    kept_tokens: Vec<NamedToken<'a>>,
}

impl<'a> LeftUser<'a> {
    /// The user after the change, the tokens that were revoked, and those that stay.
    pub fn new(user: &'a User, revoked: &'a [ApplicationToken], kept: &'a [ApplicationToken]) -> Self {
        let named = |token: &'a ApplicationToken| NamedToken { id: Text(token.id), name: Text(&token.name) };
        Self {
            success: true,
            user: UserBody::new(user),
            revoked_tokens: revoked.iter().map(named).collect(),
            kept_tokens: kept.iter().map(named).collect(),
        }
    }
}

/// The answer to a login or refresh, in the published spelling; serialize with `to_secret_json`.
#[derive(Serialize)]
pub struct LoginBody<'a> {
    success: bool,
    access_token: Exposed<'a>,
    refresh_token: Exposed<'a>,
    expires_in: u64,
    user: WhoLoggedIn<'a>,
}

#[derive(Serialize)]
struct WhoLoggedIn<'a> {
    id: Text<UserId>,
    email: Text<&'a Email>,
    role: Text<Role>,
}

impl<'a> LoginBody<'a> {
    /// Creates the answer from a pair of tokens, the access token's lifetime and the user.
    pub const fn new(access: &'a Secret, refresh: &'a Secret, lives_for: Duration, user: &'a User) -> Self {
        Self {
            success: true,
            access_token: Exposed(access),
            refresh_token: Exposed(refresh),
            expires_in: lives_for.as_secs(),
            user: WhoLoggedIn { id: Text(user.id), email: Text(&user.email), role: Text(user.role) },
        }
    }
}

/// The answer to `POST /users/me/otp`; serialize with `to_secret_json`.
#[derive(Serialize)]
pub struct BegunOtp<'a> {
    secret: Exposed<'a>,
    uri: Exposed<'a>,
}

impl<'a> BegunOtp<'a> {
    /// Creates the answer from the secret in base32 and the URI for an authenticator.
    pub const fn new(secret: &'a Secret, uri: &'a Secret) -> Self {
        Self { secret: Exposed(secret), uri: Exposed(uri) }
    }
}

/// The answer that shows the one-time codes; serialize with `to_secret_json`.
#[derive(Serialize)]
pub struct OneTimeCodes<'a> {
    codes: Vec<Exposed<'a>>,
}

impl<'a> OneTimeCodes<'a> {
    /// Creates the answer from the codes, in the order of their numbers.
    pub fn new(codes: &'a [Secret]) -> Self {
        Self { codes: codes.iter().map(Exposed).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{ID, NOW, NOW_TEXT, text},
        *,
    };
    use crate::domain::{AccessScope, PasswordHash, SecondFactor, minutes};

    fn user() -> User {
        User {
            id: UserId::from_bytes([0x11; 16]),
            email: "ada@acme.com".parse().unwrap(),
            first_name: None,
            last_name: None,
            role: Role::Member,
            scope: AccessScope::default(),
            disabled: false,
            password: PasswordHash { memory_kib: 1, passes: 1, lanes: 1, salt: [1; 16], hash: [2; 32] },
            factor: None,
            epoch: 1,
            created_at: NOW,
            last_login_at: None,
            version: 1,
        }
    }

    fn expected(rest: &str) -> String {
        format!(
            r#"{{"id":"{ID}","email":"ada@acme.com","firstName":null,"lastName":null,"role":"member","projects":null,"disabled":false,"createdAt":"{NOW_TEXT}","lastLoginAt":null{rest}}}"#
        )
    }

    #[test]
    fn the_user_object_has_every_key_in_its_order() {
        assert_eq!(text(&UserBody::new(&user())), expected(""));
        let password = Secret::from("abcde-fghjk".to_owned());
        assert_eq!(
            text(&UserBody::new(&user()).with_initial_password(&password)),
            expected(r#","initialPassword":"abcde-fghjk""#)
        );
        assert_eq!(
            text(&UpdatedUser::new(&user())),
            format!(r#"{{"success":true,"user":{}}}"#, expected(""))
        );
    }

    #[test]
    fn what_is_set_is_shown() {
        let mut user = user();
        user.first_name = Some("Ada".parse().unwrap());
        user.last_name = Some("L".parse().unwrap());
        user.scope.projects = Some(vec!["acme/app".parse().unwrap()]);
        user.disabled = true;
        user.factor = Some(SecondFactor {
            secret: std::sync::Arc::new(Secret::from("example".to_owned())),
            used_step: 0,
            codes: Vec::new(),
        });
        user.last_login_at = Some(NOW);
        let body = text(&UserBody::new(&user));
        assert!(body.contains(r#""firstName":"Ada","lastName":"L""#), "{body}");
        assert!(body.contains(r#""projects":["acme/app"],"disabled":true"#), "{body}");
        assert!(!body.contains("example") && !body.contains("secret"), "{body}");
        assert!(body.ends_with(&format!(r#""lastLoginAt":"{NOW_TEXT}","otp":true}}"#)), "{body}");
    }

    #[test]
    fn a_second_factor_is_shown_once() {
        let [secret, uri, one, two] = ["MZXW", "otpauth://totp/x", "abcde-fghjk", "00000-11111"]
            .map(|text| Secret::from(text.to_owned()));
        assert_eq!(text(&BegunOtp::new(&secret, &uri)), r#"{"secret":"MZXW","uri":"otpauth://totp/x"}"#);
        assert_eq!(text(&OneTimeCodes::new(&[one, two])), r#"{"codes":["abcde-fghjk","00000-11111"]}"#);
    }

    #[test]
    fn a_login_answers_with_a_pair() {
        let (access, refresh) = (Secret::from("sfp_usr_x".to_owned()), Secret::from("sfp_ref_y".to_owned()));
        assert_eq!(
            text(&LoginBody::new(&access, &refresh, minutes(60), &user())),
            format!(
                r#"{{"success":true,"access_token":"sfp_usr_x","refresh_token":"sfp_ref_y","expires_in":3600,"user":{{"id":"{ID}","email":"ada@acme.com","role":"member"}}}}"#
            )
        );
    }
}
