//! The `sealroom` binary.

use std::alloc::System;

use zeroizing_alloc::ZeroAlloc;

/// Wipes every block of the heap that is freed: buffers of requests have no owner that does.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> std::process::ExitCode {
    sealroom::cli::main()
}
