//! Work in a folder that may hang, as a network share does when its server is gone: it is given up and reported, while
//! the thread that the system holds waits alone.

use std::{sync::mpsc::channel, thread, time::Duration};

use tokio::time::sleep;

use crate::disk::Calls;

/// The fraction of the limit between two looks at the calls, as a divisor.
const LOOKS: u32 = 4;
/// The longest wait for the removal of a file that may hang.
const REMOVAL: Duration = Duration::from_millis(200);

/// A call did not return within the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hung;

/// Runs `work`, and gives it up once one of its calls has not returned for about `limit` while no other did.
pub(super) async fn unless_hung<T>(
    calls: &Calls,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Hung> {
    let mut work = std::pin::pin!(work);
    let (mut seen, mut looks) = (calls.under_way(), 0);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = sleep(limit / LOOKS) => {}
        }
        let now = calls.under_way();
        looks = if now.is_some() && now == seen { looks + 1 } else { 0 };
        if looks >= LOOKS {
            return Err(Hung);
        }
        seen = now;
    }
}

/// A value whose drop may hang, since it removes a file: it is dropped on a thread of its own.
pub(super) struct Apart<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Apart<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Returns the value, whose drop is then the caller's.
    pub(super) fn into_inner(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: Send + 'static> std::ops::Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only `into_inner` takes the value, and consumes this")
    }
}

impl<T: Send + 'static> Drop for Apart<T> {
    fn drop(&mut self) {
        let Some(value) = self.0.take() else { return };
        let (done, is_done) = channel::<()>();
        let dropping = thread::Builder::new().name("sealroom-remove".to_owned()).spawn(move || {
            drop(value);
            drop(done);
        });
        // A folder that answers has lost the file before a server that stops is gone.
        if dropping.is_ok() {
            let _ = is_done.recv_timeout(REMOVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    /// A call on another thread that returns when told.
    fn call(calls: &Arc<Calls>) -> std::sync::mpsc::Sender<()> {
        let (free, freed) = channel();
        let (begun, has_begun) = channel::<()>();
        let calls = Arc::clone(calls);
        thread::spawn(move || {
            calls.during(|| {
                drop(begun);
                let _ = freed.recv();
            });
        });
        let _ = has_begun.recv();
        free
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_given_up_only_if_a_call_does_not_return_and_no_other_does() {
        let calls = Arc::new(Calls::default());
        // Slow work between its calls is no hang, and neither is work without any.
        let slow = async {
            for _ in 0..100 {
                calls.during(|| ());
                sleep(LIMIT).await;
            }
        };
        assert_eq!(unless_hung(&calls, LIMIT, slow).await, Ok(()));
        let held = call(&calls);
        // Another call's return shows that the folder answers.
        let beside = async {
            for _ in 0..20 {
                sleep(LIMIT / 2).await;
                calls.during(|| ());
            }
        };
        assert_eq!(unless_hung(&calls, LIMIT, beside).await, Ok(()));
        let start = tokio::time::Instant::now();
        assert_eq!(unless_hung(&calls, LIMIT, std::future::pending::<()>()).await, Err(Hung));
        assert!(start.elapsed() <= LIMIT * 2);
        drop(held);
        while calls.under_way().is_some() {
            thread::yield_now();
        }
        assert_eq!(unless_hung(&calls, LIMIT, sleep(LIMIT * 10)).await, Ok(()));
    }

    #[test]
    fn a_drop_that_hangs_holds_nobody_up() {
        struct Hangs(std::sync::mpsc::Receiver<()>);
        impl Drop for Hangs {
            fn drop(&mut self) {
                let _ = self.0.recv();
            }
        }
        let (free, freed) = channel::<()>();
        drop(Apart::new(Hangs(freed)));
        drop(free);
    }
}
