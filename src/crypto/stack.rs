//! Wipes what a computation leaves on its stack.
//!
//! A cipher's state, a moved key, a spilled register: none of them has an owner that wipes it. So the same part of the
//! stack is overwritten afterwards, or when its thread has nothing to do.

use std::{
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll},
};

/// The part of the stack that is overwritten: deeper than any request goes. Frames are larger without optimization.
const DEPTH: usize = if cfg!(debug_assertions) { 256 << 10 } else { 64 << 10 };

/// Runs `work`, and overwrites the stack that it used.
pub fn leaving_nothing<T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    wipe();
    done
}

/// Runs a future, and overwrites the stack that it used at each of its steps.
pub async fn leaving_nothing_async<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    std::future::poll_fn(|context| step(work.as_mut(), context)).await
}

fn step<T>(work: Pin<&mut impl Future<Output = T>>, context: &mut Context<'_>) -> Poll<T> {
    leaving_nothing(|| work.poll(context))
}

/// Keeps the frame of `work` out of its caller's, which is not overwritten.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Overwrites the stack below the caller.
#[inline(never)]
#[allow(clippy::large_stack_arrays, reason = "the stack is what is to be overwritten")]
pub fn wipe() {
    // The compiler must take it for read and written, and so writes the zeros.
    black_box(&mut [0_u8; DEPTH]);
}
