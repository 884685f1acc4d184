//! Ports for servers whose address a test must know before they start.

use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Returns a port without a listener, from below the range that the system assigns by itself, which starts at 32768.
///
/// A port of that range could go to a neighbour's connection before the test uses it. No port is returned twice.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const EACH: u32 = 100;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Processes that test at the same time have shares of their own.
    let share = FIRST + u16::try_from(process::id() % 200 * EACH).unwrap();
    loop {
        let port = share + TAKEN.fetch_add(1, Ordering::Relaxed) % EACH as u16;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
