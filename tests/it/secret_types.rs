//! Secret types cannot reach a log, a copy or an answer by accident: the traits that would let them are absent.

use sealroom::{
    auth::token::NewToken,
    client::{BegunOtp, Credential, Credentials, OneTimeCodes, SecretJson, SecretText},
    crypto::{
        keys::{Keys, MasterKey, VaultKey},
        recovery::RecoveryKey,
        sign::{LogKey, LogWrapKey},
    },
    domain::Secret,
    vault::{BegunFactor, Created, LoggedIn},
};

/// Fails to compile if one of the types implements one of the traits: then `some` is ambiguous.
macro_rules! lacks {
    ($traits:tt: $($type:ty),+) => { $( lacks!(@type $type: $traits); )+ };
    (@type $type:ty: ($($trait:path),+)) => { $( {
        trait Lacks<Marker> {
            fn some() {}
        }
        struct Present;
        impl<T: ?Sized> Lacks<()> for T {}
        impl<T: ?Sized + $trait> Lacks<Present> for T {}
        <$type as Lacks<_>>::some();
    } )+ };
}

#[test]
fn a_secret_type_cannot_be_cloned_printed_serialized_compared_or_dereferenced() {
    lacks!((Clone, std::fmt::Debug, std::fmt::Display, serde::Serialize, std::ops::Deref, PartialEq, AsRef<[u8]>):
        Secret, VaultKey, MasterKey, Keys, LogWrapKey, LogKey, RecoveryKey, NewToken, Created, LoggedIn, BegunFactor, BegunOtp, OneTimeCodes, SecretText, SecretJson, Credential, Credentials);
}
