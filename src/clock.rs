//! The clock: the only place that reads one, for `http` and `cli` alone.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime},
};

use crate::domain::Timestamp;

/// The wall clock, which within one run never falls behind the monotonic one: a clock that is set back revives
/// nothing, and one that jumped ahead and came back ended nothing for good.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System { started_at: Timestamp, started: Instant },
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock, from now on.
    pub fn system() -> Self {
        Self(Kind::System { started_at: wall(), started: Instant::now() })
    }

    /// A clock that stands still until it is set.
    pub fn manual(now: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(AtomicU64::new(now.millis()))))
    }

    /// Sets a manual clock; the system's cannot be set from here.
    pub fn set(&self, now: Timestamp) {
        if let Kind::Manual(millis) = &self.0 {
            millis.store(now.millis(), Ordering::Release);
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System { started_at, started } => wall().max(started_at.plus(started.elapsed())),
            Kind::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::Acquire)),
        }
    }
}

/// The time since this process first asked, for measuring; never behind.
pub fn monotonic() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
