//! Power cuts, failing disks, damaged files and kills: samples of `cargo bench --bench crash`.

mod alarms;
mod copies;
mod damage;
mod faults;
mod internal;
mod kills;
mod live_file;
mod migrations;
mod order;
mod power_cuts;
mod stale;
mod upkeep;
