//! The event that the benchmarks of the log record.

use sealroom::domain::{Action, Actor, Event, Provider, Revision, Timestamp};

/// Returns an event of the length of a read's: a machine, an integration, a project.
pub(crate) fn of_a_read(at: Timestamp) -> Event {
    let id = "0192f0c1-7b3c-7def-8000-0123456789ab";
    Event {
        integration: Some(id.parse().unwrap()),
        revision: Some(Revision::FIRST),
        provider: Some(Provider::Github),
        project: Some("acme/app".parse().unwrap()),
        request: Some(id.parse().unwrap()),
        peer: Some("127.0.0.1".parse().unwrap()),
        ..Event::new(at, Actor::App(id.parse().unwrap()), Action::CredentialsRead)
    }
}
