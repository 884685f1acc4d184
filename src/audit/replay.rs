//! Replay: the users, projects, integrations and tokens that the log's records alone explain, to compare with tables.
//!
//! Knows no table and no key. Holds one entry for each subject that exists, so its memory follows the vault's size and
//! not the log's.

mod compare;
mod facts;
mod model;
mod tables;

pub use self::{
    compare::Compared,
    facts::{Facts, Subject, login},
    model::Replay,
    tables::{TableRow, Tables},
};
