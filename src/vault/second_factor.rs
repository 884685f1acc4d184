//! Second factors: begin, confirm, renew the one-time codes, remove.
//!
//! A change of a second factor ends every session of its user but the caller's own.

use std::sync::Arc;

use super::{
    access::Admitted,
    error::Error,
    narrowing::user_detail,
    state::Vault,
    work::{Context, Request},
};
use crate::{
    api::requests::OwnOtp,
    auth::{
        policy::Verb,
        second_factor::{self, Used},
    },
    crypto::otp,
    domain::{
        DetailKey, Email, Event, Identity, Peer, SecondFactor, Secret, SessionRow, Timestamp, User, UserId,
    },
    storage::{Changes, Decision},
};

/// The field of a second factor that is set or removed, as the event names it.
const FIELDS: &[&str] = &["otp"];
/// The field of renewed one-time codes: a thief who reprints them must not look like an enrolment.
const CODES: &[&str] = &["otp_codes"];

/// A second factor that was begun, for an authenticator.
pub struct BegunFactor {
    /// The shared secret in base32.
    pub secret: Secret,
    /// The same as an `otpauth:` URI.
    pub uri: Secret,
}

impl Vault {
    /// Makes the shared secret of a second factor, which the first code then sets.
    ///
    /// # Errors
    /// The own password is wrong, or a second factor is set already.
    pub async fn begin_otp(
        &self,
        context: &Context,
        caller: &Admitted,
        current_password: Secret,
    ) -> Result<BegunFactor, Error> {
        let (id, email) = own(caller)?;
        self.check_own_password(context, caller, Verb::BeginOtp, &email, current_password).await?;
        let secret = Arc::new(otp::generate()?);
        let begun =
            BegunFactor { secret: otp::to_text(&secret), uri: second_factor::uri(&secret, email.as_str()) };
        let work = move |work: Request<'_>| {
            let user = work.view.user(&email)?.ok_or(Error::UserNotFound)?;
            let free = if user.factor.is_none() { Ok(()) } else { Err(Error::OtpSet) };
            // Nothing has changed yet: the code that sets it is the event.
            free.map(|()| Decision::recording((), Vec::new()))
        };
        self.act(context, caller, Verb::BeginOtp, work).await?;
        self.opened()?.begun.keep(id, secret, context.now);
        Ok(begun)
    }

    /// Sets the second factor that was begun, with its first code; returns the one-time codes.
    ///
    /// # Errors
    /// None was begun, one is set already, or the code is wrong.
    pub async fn confirm_otp(
        &self,
        context: &Context,
        caller: &Admitted,
        code: Secret,
    ) -> Result<Vec<Secret>, Error> {
        let (id, email) = own(caller)?;
        let secret = self.opened()?.begun.of(id, context.now).ok_or(Error::OtpNotBegun)?;
        let peer = context.peer.unwrap_or(Peer::Unix);
        self.limit_code(&email, peer, context.now)?;
        let Some(used_step) = second_factor::step_of(&secret, &code, context.now) else {
            return Err(self.refuse(context, caller.bearer(), Verb::ConfirmOtp, Error::WrongOtp).await);
        };
        self.limiter().code_not_wrong(&email, peer, context.now);
        let (printed, codes) = second_factor::generate_codes()?;
        let factor = SecondFactor { secret, used_step, codes };
        let work = move |work: Request<'_>| {
            let user = work.view.user(&email)?.ok_or(Error::UserNotFound)?;
            if user.factor.is_some() {
                return Err(Error::OtpSet);
            }
            decide(&work, &user, Some(factor), None, FIELDS)
        };
        self.act(context, caller, Verb::ConfirmOtp, work).await?;
        self.opened()?.begun.forget(id);
        Ok(printed)
    }

    /// Replaces the caller's one-time codes, used or not, and returns the new ones.
    ///
    /// # Errors
    /// No second factor is set, or the password or the code is wrong.
    pub async fn renew_otp_codes(
        &self,
        context: &Context,
        caller: &Admitted,
        request: OwnOtp,
    ) -> Result<Vec<Secret>, Error> {
        let (printed, codes) = second_factor::generate_codes()?;
        let renew = move |factor: SecondFactor| Some(SecondFactor { codes, ..factor });
        self.change_own(context, caller, Verb::RenewOtpCodes, request, renew).await.map(|_| printed)
    }

    /// Removes the caller's second factor.
    ///
    /// # Errors
    /// No second factor is set, or the password or the code is wrong.
    pub async fn remove_own_otp(
        &self,
        context: &Context,
        caller: &Admitted,
        request: OwnOtp,
    ) -> Result<User, Error> {
        self.change_own(context, caller, Verb::RemoveOwnOtp, request, |_| None).await
    }

    /// Removes another user's second factor, and ends that user's sessions.
    ///
    /// # Errors
    /// The policy forbids it, the user does not exist, or has no second factor.
    pub async fn remove_otp(
        &self,
        context: &Context,
        caller: &Admitted,
        email: Email,
    ) -> Result<User, Error> {
        let work = move |work: Request<'_>| {
            work.permit.another(&email)?;
            let user = work.view.user(&email)?.ok_or(Error::UserNotFound)?;
            user.factor.as_ref().ok_or(Error::OtpNotSet)?;
            let after = User { factor: None, epoch: user.epoch + 1, ..User::clone(&user) };
            let mut changes = Changes::none();
            changes.user(after.clone());
            let event = Event { detail: user_detail(&after).list(DetailKey::Fields, FIELDS), ..work.event };
            Ok(Decision::changing(after, changes, event).revoking())
        };
        Ok(self.act(context, caller, Verb::RemoveOtp, work).await?.value)
    }

    /// Changes the caller's own second factor, with its password and a code that this uses up.
    async fn change_own(
        &self,
        context: &Context,
        caller: &Admitted,
        verb: Verb,
        request: OwnOtp,
        change: impl FnOnce(SecondFactor) -> Option<SecondFactor> + Send + 'static,
    ) -> Result<User, Error> {
        let (_, email) = own(caller)?;
        let OwnOtp { current_password, otp } = request;
        let fields = if matches!(verb, Verb::RenewOtpCodes) { CODES } else { FIELDS };
        self.check_own_password(context, caller, verb, &email, current_password).await?;
        let peer = context.peer.unwrap_or(Peer::Unix);
        self.limit_code(&email, peer, context.now)?;
        let of = email.clone();
        let work = move |work: Request<'_>| {
            let user = work.view.user(&of)?.ok_or(Error::UserNotFound)?;
            let factor = user.factor.as_ref().ok_or(Error::OtpNotSet)?;
            let (after, used) = second_factor::take(factor, &otp, work.context.now).ok_or(Error::WrongOtp)?;
            decide(&work, &user, change(after), Some(used), fields)
        };
        let changed = self.act(context, caller, verb, work).await;
        if !matches!(changed, Err(Error::WrongOtp)) {
            self.limiter().code_not_wrong(&email, peer, context.now);
        }
        Ok(changed?.value)
    }

    /// Lets a code of a second factor in; it counts as wrong until the limiter is told otherwise.
    pub(super) fn limit_code(&self, email: &Email, peer: Peer, now: Timestamp) -> Result<(), Error> {
        self.limiter()
            .check_code(email, peer, now)
            .map_err(|retry| Error::TooManyTries { retry_after_secs: retry.seconds })
    }
}

/// Returns the user that calls.
fn own(caller: &Admitted) -> Result<(UserId, Email), Error> {
    match &caller.caller().identity {
        Identity::User { id, email, .. } => Ok((*id, email.clone())),
        Identity::Token(_) => Err(Error::Unauthenticated),
    }
}

/// Decides that the caller's own second factor becomes this one: its session goes on, and the others end.
fn decide(
    work: &Request<'_>,
    user: &User,
    factor: Option<SecondFactor>,
    used: Option<Used>,
    fields: &'static [&'static str],
) -> Result<Decision<User>, Error> {
    let after = User { factor, epoch: user.epoch + 1, ..user.clone() };
    let mut changes = Changes::none();
    if let Identity::User { session, .. } = work.caller().identity {
        for row in work.view.session_tokens(session)? {
            changes.session(SessionRow { epoch: after.epoch, ..row });
        }
    }
    changes.user(after.clone());
    let detail = user_detail(&after).list(DetailKey::Fields, fields);
    let detail = match used {
        Some(Used::Code(number)) => detail.number(DetailKey::Code, number.into()),
        Some(Used::Step(_)) | None => detail,
    };
    let event = Event { detail, ..work.event.clone() };
    Ok(Decision::changing(after, changes, event).revoking())
}
