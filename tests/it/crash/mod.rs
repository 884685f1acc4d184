//! Power cuts, failing disks, damaged files and kills: samples of `cargo bench --bench crash`.

pub mod damage;
pub mod faults;
pub mod kills;
pub mod power_cuts;
