use std::io;

use tracing_subscriber::{fmt::MakeWriter, prelude::*};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Returns the lines since the last call.
    fn taken(&self) -> Vec<String> {
        let text = mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(text).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn with_log(test: impl FnOnce(&Repeats, &Lines)) {
    let (repeats, lines) = (Repeats::default(), Lines::default());
    let plain = tracing_subscriber::fmt::layer().with_writer(lines.clone()).without_time().with_ansi(false);
    let log = tracing_subscriber::registry().with(repeats.clone()).with(plain.with_target(false));
    tracing::subscriber::with_default(log, || test(&repeats, &lines));
}

fn fails(error: &str, request: u32) {
    tracing::warn!(error, request, "it failed");
}

#[test]
fn a_condition_that_goes_on_is_one_line_and_then_one_count_a_minute() {
    with_log(|repeats, lines| {
        (0..1000).for_each(|request| fails("disk", request));
        assert_eq!(lines.taken(), [r#"WARN it failed error="disk" request=0"#]);
        repeats.tell();
        assert_eq!(lines.taken(), [r#"WARN repeated times=999 what="it failed: \"disk\"""#]);
        fails("disk", 0);
        assert_eq!(lines.taken(), [""; 0], "it goes on");
        repeats.tell();
        assert_eq!(lines.taken().len(), 1);
        repeats.tell();
        assert_eq!(lines.taken(), [""; 0], "nothing is said of what did not happen");
        fails("disk", 0);
        assert_eq!(lines.taken().len(), 1, "it had ended, and begins again");
    });
}

#[test]
fn the_name_of_a_temporary_file_makes_no_condition_a_new_one() {
    with_log(|_, lines| {
        (0..9).for_each(|n| fails(&format!("no space left at path \"/x/.tmp{n}\""), 0));
        assert_eq!(lines.taken().len(), 1);
    });
}

#[test]
fn one_condition_hides_no_other_and_there_are_not_more_than_can_be_kept() {
    with_log(|repeats, lines| {
        fails("disk", 0);
        fails("memory", 0);
        tracing::error!("another place");
        assert_eq!(lines.taken().len(), 3);
        (0..10_000).for_each(|n| fails(&format!("a{n}"), 0));
        assert_eq!(lines.taken().len(), CONDITIONS_MAX - 3 + 1);
        assert!(repeats.seen().len() <= CONDITIONS_MAX + 1);
        repeats.tell();
        assert_eq!(lines.taken().len(), 1, "the others are one count");
    });
}

#[test]
fn strangers_get_some_lines_a_minute_and_whoever_was_let_in_or_asked_gets_all() {
    with_log(|repeats, lines| {
        (0..1000).for_each(|n| tracing::info!(target: STRANGERS, n, "answered"));
        assert_eq!(lines.taken().len() as u64, STRANGERS_MAX);
        repeats.tell();
        let count = r#"WARN repeated times=940 what="requests of unauthenticated clients""#;
        assert_eq!(lines.taken(), [count]);
        tracing::info!(target: STRANGERS, "answered");
        assert_eq!(lines.taken().len(), 1, "a minute later there are lines again");
        for _ in 0..1000 {
            tracing::info!(target: ANSWERED, "answered");
            tracing::error!(target: ASKED, "reload failed, settings unchanged");
            tracing::info!("any other line");
        }
        assert_eq!(lines.taken().len(), 3000);
    });
}
