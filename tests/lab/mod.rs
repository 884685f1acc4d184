//! The crash tests: a disk that loses power or refuses any call, a model of the vault's content, and the checks of one
//! against the other. Shared by the tests and by `cargo bench --bench crash`.
#![allow(dead_code, reason = "each of its two users takes a part")]

pub mod check;
pub mod content;
pub mod cuts;
pub mod damage;
pub mod disk;
pub mod driver;
pub mod faults;
pub mod journal;
pub mod kills;
pub mod recording;
pub mod rng;
pub mod steps;
pub mod upkeep;
pub mod upkeep_cuts;
pub mod upkeep_kills;
pub mod upkeep_left;
