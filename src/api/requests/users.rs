//! Contract §6: users and sessions. The vault checks a new password's length.

use super::{PROJECTS_MAX, Request, role};
use crate::{
    api::{
        bad_request::{BadRequest, INVALID_FIELD, MISSING_FIELD},
        fields::{Change, Fields, Value},
    },
    domain::{Email, Name, ProjectId, Role, Secret},
};

/// `POST /auth/login` and `/auth/admin/login` (contract §6).
pub struct Login {
    /// The e-mail as typed: an invalid one is answered like an unknown one.
    pub email: String,
    /// The password, unchecked.
    pub password: Secret,
    /// A code of the second factor, or a one-time code, unchecked.
    pub otp: Option<Secret>,
}

impl Request for Login {
    const NAME: &'static str = "Login";
    const FIELDS: &'static [&'static str] = &["email", "password", "otp"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let email = fields.required("email")?.text()?.to_string();
        let password = fields.required("password")?.secret()?;
        Ok(Self { email, password, otp: fields.optional("otp").map(Value::secret).transpose()? })
    }
}

/// `POST /auth/refresh` (contract §6).
pub struct Refresh {
    /// The token's text, unchecked.
    pub refresh_token: Secret,
}

impl Request for Refresh {
    const NAME: &'static str = "Refresh";
    const FIELDS: &'static [&'static str] = &["refresh_token"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        Ok(Self { refresh_token: fields.required("refresh_token")?.secret()? })
    }
}

/// `POST /users` (contract §6).
pub struct CreateUser {
    /// The address, normalised.
    pub email: Email,
    /// The role; member by default.
    pub role: Role,
    /// First name.
    pub first_name: Option<Name>,
    /// Last name.
    pub last_name: Option<Name>,
    /// The password; generated if absent.
    pub password: Option<Secret>,
    /// The only projects of a member; cleared means all, kept means the server's default.
    pub projects: Change<Vec<ProjectId>>,
}

impl Request for CreateUser {
    const NAME: &'static str = "CreateUser";
    const FIELDS: &'static [&'static str] =
        &["email", "role", "firstName", "lastName", "password", "projects"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let request = Self {
            email: fields.required("email")?.parse()?,
            role: fields.optional("role").map_or(Ok(Role::Member), of_people)?,
            first_name: fields.optional("firstName").map(Value::parse).transpose()?,
            last_name: fields.optional("lastName").map(Value::parse).transpose()?,
            password: fields.optional("password").map(Value::secret).transpose()?,
            projects: fields.change("projects", |list| list.list_of(0..=PROJECTS_MAX))?,
        };
        if request.role == Role::Owner && matches!(request.projects, Change::Set(_)) {
            return Err(BadRequest::new(INVALID_FIELD, "projects narrows a member: an owner has them all"));
        }
        Ok(request)
    }
}

/// `PUT /users/{email}` (contract §6).
pub struct UpdateUser {
    /// First name.
    pub first_name: Change<Name>,
    /// Last name.
    pub last_name: Change<Name>,
    /// The new role.
    pub role: Option<Role>,
    /// The new state of `disabled`.
    pub disabled: Option<bool>,
    /// The only projects of a member; cleared means all.
    pub projects: Change<Vec<ProjectId>>,
    /// The new password.
    pub password: Option<Secret>,
    /// The caller's current password.
    pub current_password: Option<Secret>,
}

impl UpdateUser {
    /// Returns whether it changes `role`, `disabled` or `projects`, which requires an owner.
    pub const fn needs_owner(&self) -> bool {
        self.role.is_some() || self.disabled.is_some() || !self.projects.is_keep()
    }

    /// The names of the fields that it changes.
    pub fn changed_fields(&self) -> Vec<&'static str> {
        let fields = [
            ("firstName", !self.first_name.is_keep()),
            ("lastName", !self.last_name.is_keep()),
            ("role", self.role.is_some()),
            ("disabled", self.disabled.is_some()),
            ("projects", !self.projects.is_keep()),
            ("password", self.password.is_some()),
        ];
        fields.into_iter().filter_map(|(name, changes)| changes.then_some(name)).collect()
    }
}

impl Request for UpdateUser {
    const NAME: &'static str = "UpdateUser";
    const FIELDS: &'static [&'static str] =
        &["firstName", "lastName", "role", "disabled", "projects", "password", "currentPassword"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        let request = Self {
            first_name: fields.change("firstName", Value::parse)?,
            last_name: fields.change("lastName", Value::parse)?,
            role: fields.optional("role").map(of_people).transpose()?,
            disabled: fields.optional("disabled").map(Value::truth).transpose()?,
            projects: fields.change("projects", |list| list.list_of(0..=PROJECTS_MAX))?,
            password: fields.optional("password").map(Value::secret).transpose()?,
            current_password: fields.optional("currentPassword").map(Value::secret).transpose()?,
        };
        if !request.changed_fields().is_empty() {
            return Ok(request);
        }
        // `currentPassword` alone changes nothing; it would only test a password.
        let message = format!("at least one of {} is required", Self::FIELDS[..6].join(", "));
        Err(BadRequest::new(MISSING_FIELD, message))
    }
}

/// `DELETE /users` (contract §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteUser {
    /// The address, normalised.
    pub email: Email,
}

impl Request for DeleteUser {
    const NAME: &'static str = "DeleteUser";
    const FIELDS: &'static [&'static str] = &["email"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        Ok(Self { email: fields.required("email")?.parse()? })
    }
}

/// `POST /users/{email}/leave` (ours).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaveUser {
    /// True if the tokens that the user created stay.
    pub keep_tokens: bool,
}

impl Request for LeaveUser {
    const NAME: &'static str = "LeaveUser";
    const FIELDS: &'static [&'static str] = &["keepTokens"];

    fn read(fields: &mut Fields<'_>) -> Result<Self, BadRequest> {
        Ok(Self { keep_tokens: fields.optional("keepTokens").map_or(Ok(false), Value::truth)? })
    }
}

fn of_people(value: Value<'_>) -> Result<Role, BadRequest> {
    role(value, Role::is_user_role, "one of owner, member")
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{refused, taken},
        *,
    };

    #[test]
    fn a_leave_revokes_tokens_unless_it_says_otherwise() {
        for (body, keep_tokens) in
            [("{}", false), (r#"{"keepTokens":null}"#, false), (r#"{"keepTokens":true}"#, true)]
        {
            assert_eq!(taken::<LeaveUser>(body), LeaveUser { keep_tokens }, "{body}");
        }
        let refused = refused::<LeaveUser>(r#"{"keepTokens":"no"}"#);
        assert_eq!(refused.message, "keepTokens must be true or false");
    }

    #[test]
    fn a_login_is_taken_as_it_was_typed() {
        let login: Login = taken(r#"{"email":" Ada@Example.com ","password":"a\"\\\n\u00e4"}"#);
        assert_eq!(login.email, " Ada@Example.com ");
        assert_eq!(login.password.expose(), "a\"\\\nä".as_bytes());
        assert_eq!(refused::<Login>(r#"{"email":"a"}"#).message, "password is required");
        assert_eq!(refused::<Login>(r#"{"email":"a","password":5}"#).message, "password must be a string");
    }

    #[test]
    fn a_refresh_carries_its_token() {
        assert_eq!(taken::<Refresh>(r#"{"refresh_token":"sfp_ref_x"}"#).refresh_token.expose(), b"sfp_ref_x");
        assert_eq!(refused::<Refresh>("{}").message, "refresh_token is required");
    }

    #[test]
    fn a_user_is_a_member_unless_it_says_otherwise() {
        let user: CreateUser = taken(r#"{"email":"Ada@example.com","firstName":"Ada","lastName":null}"#);
        assert_eq!((user.email.as_str(), user.role), ("ada@example.com", Role::Member));
        assert_eq!((user.first_name.unwrap().as_str(), user.last_name), ("Ada", None));
        assert!(user.password.is_none() && user.projects.is_keep());
        let projects =
            |value: &str| taken::<CreateUser>(&format!(r#"{{"email":"a@b.c","projects":{value}}}"#)).projects;
        assert_eq!((projects("[]"), projects("null")), (Change::Set(Vec::new()), Change::Clear));
        for (rest, message) in [
            (r#""role":"auditor""#, "role must be one of owner, member"),
            (r#""role":"owner","projects":["a/b"]"#, "projects narrows a member: an owner has them all"),
            (r#""projects":"a/b""#, "projects must be an array of strings"),
            (r#""password":"""#, "password must be a string that is not empty"),
            (
                r#""firstName":"a\u0007""#,
                "firstName must be 1 to 100 characters, none of them a control character or invisible",
            ),
        ] {
            assert_eq!(refused::<CreateUser>(&format!(r#"{{"email":"a@b.c",{rest}}}"#)).message, message);
        }
    }

    #[test]
    fn a_change_of_a_user_changes_something() {
        let change: UpdateUser = taken(r#"{"firstName":null,"projects":null}"#);
        assert_eq!((&change.first_name, &change.last_name), (&Change::Clear, &Change::Keep));
        assert_eq!(change.projects, Change::Clear);
        let message = "at least one of firstName, lastName, role, disabled, projects, password is required";
        for body in ["{}", r#"{"currentPassword":"x"}"#, r#"{"role":null}"#] {
            assert_eq!(refused::<UpdateUser>(body).message, message);
        }
    }

    #[test]
    fn what_only_an_owner_may_ask_for_is_told_apart() {
        for (body, owner) in [
            (r#"{"firstName":"A"}"#, false),
            (r#"{"password":"x","currentPassword":"y"}"#, false),
            (r#"{"role":"member"}"#, true),
            (r#"{"disabled":false}"#, true),
            (r#"{"projects":null}"#, true),
        ] {
            assert_eq!(taken::<UpdateUser>(body).needs_owner(), owner, "{body}");
        }
    }

    #[test]
    fn a_user_is_removed_by_address() {
        assert_eq!(taken::<DeleteUser>(r#"{"email":"A@b.c"}"#).email.as_str(), "a@b.c");
        assert!(refused::<DeleteUser>(r#"{"email":"a"}"#).message.starts_with("email must be an ASCII"));
    }
}
