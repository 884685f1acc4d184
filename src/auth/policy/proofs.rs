//! The proofs of a decision: only the policy fills their fields in.

use crate::domain::Integration;

/// The proof that this integration's credential may be opened for the caller that asked.
#[derive(Debug)]
pub struct Disclosure<'a> {
    pub(super) integration: &'a Integration,
}

impl<'a> Disclosure<'a> {
    /// The integration whose credential may be opened.
    pub const fn integration(&self) -> &'a Integration {
        self.integration
    }
}

/// The proof that every kept credential of this integration may be opened for the caller that asked.
#[derive(Debug)]
pub struct KeptDisclosure<'a> {
    pub(super) integration: &'a Integration,
}

impl<'a> KeptDisclosure<'a> {
    /// The integration whose kept credentials may be opened.
    pub const fn integration(&self) -> &'a Integration {
        self.integration
    }
}

/// The proof that a kept credential of this integration may be sealed again as its current one.
#[derive(Debug)]
pub struct Restoration<'a> {
    pub(super) integration: &'a Integration,
}

impl<'a> Restoration<'a> {
    /// The integration whose kept credential may be opened.
    pub const fn integration(&self) -> &'a Integration {
        self.integration
    }
}
