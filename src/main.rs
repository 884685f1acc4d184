//! The `sealroom` binary.

#[cfg(not(target_env = "musl"))]
use std::alloc::System as Heap;

// musl's own allocator is several times slower than that of glibc.
#[cfg(target_env = "musl")]
use mimalloc::MiMalloc as Heap;
use zeroizing_alloc::ZeroAlloc;

/// Wipes every block of the heap that is freed: buffers of requests have no owner that does.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<Heap> = ZeroAlloc(Heap);

fn main() -> std::process::ExitCode {
    sealroom::cli::main()
}
