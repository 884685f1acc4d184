//! The `sealroom` binary.

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// Wipes every block of the heap that is freed: buffers of requests have no owner that does.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> std::process::ExitCode {
    sealroom::cli::main()
}
