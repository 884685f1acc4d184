//! The `sealroom` binary.

fn main() {}
