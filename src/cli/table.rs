//! Tables for people, and times as their clock on the wall shows them.

use std::io;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::tz::TimeZone;

use super::output::has_colours;
use crate::domain::Timestamp;

/// A cell where there is nothing.
pub(super) const NOTHING: &str = "-";

/// Columns under headings: fitted to the terminal's width, and one row a line elsewhere.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    rows.into_iter().for_each(|row| {
        table.add_row(row.map(|cell| visible(&cell)));
    });
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    let text = table.trim_fmt();
    let bold = has_colours(&io::stdout());
    let line = |(index, line): (usize, &str)| match index {
        0 if bold => format!("\x1b[1m{}\x1b[0m", line.trim_end()),
        _ => line.trim_end().to_owned(),
    };
    text.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// Lines of a name and its value.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {}", visible(value));
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Text that cannot steer a terminal: control characters but line ends and tabs are shown as what they are.
pub(super) fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A moment in the user's own zone, which is named.
pub(super) fn local(time: Timestamp) -> String {
    let millis = i64::try_from(time.millis()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(moment) => moment.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string(),
        Err(_) => time.to_string(),
    }
}

/// [`local`], or [`NOTHING`].
pub(super) fn local_or_nothing(time: Option<Timestamp>) -> String {
    time.map_or_else(|| NOTHING.to_owned(), local)
}

/// A list in one cell.
pub(super) fn list(items: &[String]) -> String {
    items.join(", ")
}
