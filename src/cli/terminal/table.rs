//! Tables for people, and times in the user's own zone.

use std::io;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use jiff::tz::TimeZone;

pub(in crate::cli) use super::visible::visible;
use super::{output::has_colours, visible::on_one_line};
use crate::domain::Timestamp;

/// The blanks around a cell, except before the first.
const PADDING: usize = 2;
/// Width of lines in which a cell of several words is still readable; one word is never broken.
const READABLE: usize = 22;
/// The text of an empty cell.
pub(in crate::cli) const NOTHING: &str = "-";
/// The cell of a credential, token or user that no list of projects restricts; sentences say [`ALL_PROJECTS`].
pub(in crate::cli) const ALL: &str = "all";
pub(in crate::cli) const ALL_PROJECTS: &str = "all projects";

/// Formats columns under headings: fitted to the terminal's width, and one row in each line elsewhere.
///
/// The first column names a row and is never broken, so that it can be copied. Columns too narrow to read are left out,
/// and the table says so.
pub(in crate::cli) fn table<const N: usize>(headings: [&str; N], rows: Vec<[String; N]>) -> String {
    // Before any measurement: an escape is wider than the character that it replaces.
    let rows: Vec<[String; N]> =
        rows.into_iter().map(|row| row.map(|cell| on_one_line(&cell).into_owned())).collect();
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0);
    let shown = width.map_or(N, |width| fitting(usize::from(width), &headings, &rows));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(&headings[..shown]);
    for row in &rows {
        table.add_row(row[..shown].iter().map(String::as_str));
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1)).set_constraint(ColumnConstraint::ContentWidth);
    }
    let text = table.trim_fmt();
    let bold = has_colours(&io::stdout());
    let line = |(index, line): (usize, &str)| match index {
        0 if bold => format!("\x1b[1m{}\x1b[0m", line.trim_end()),
        _ => line.trim_end().to_owned(),
    };
    let mut lines: Vec<String> = text.lines().enumerate().map(line).collect();
    if shown < N {
        lines.push(format!("not shown: {} (a wider terminal, or --json)", headings[shown..].join(", ")));
    }
    lines.join("\n")
}

/// Returns the number of columns that are readable at that width, at least two. Each takes the width of its cells;
/// those of several words take up to [`READABLE`], or their longest word.
fn fitting<const N: usize>(width: usize, headings: &[&str; N], rows: &[[String; N]]) -> usize {
    let needed = |cell: &String| {
        let longest = cell.split(' ').map(|word| word.chars().count()).max().unwrap_or_default();
        cell.chars().count().min(READABLE).max(longest)
    };
    let mut taken = 0;
    let columns = headings.iter().enumerate().take_while(|(index, heading)| {
        let cells = rows.iter().map(|row| match index {
            0 => row[0].chars().count(),
            _ => needed(&row[*index]),
        });
        taken += cells.max().unwrap_or_default().max(heading.len()) + PADDING;
        // The first has no blank before it.
        taken <= width + 1
    });
    columns.count().max(2)
}

/// Formats lines of a name and its value.
pub(in crate::cli) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {}", on_one_line(value));
    facts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Formats a time in the user's own zone, which is named.
pub(in crate::cli) fn local(time: Timestamp) -> String {
    zoned(time, "%Y-%m-%d %H:%M %Z")
}

/// Formats as [`local`], to the second, for comparison with another log.
pub(in crate::cli) fn local_second(time: Timestamp) -> String {
    zoned(time, "%Y-%m-%d %H:%M:%S %Z")
}

fn zoned(time: Timestamp, format: &str) -> String {
    let millis = i64::try_from(time.millis()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(moment) => moment.to_zoned_datetime(TimeZone::system()).strftime(format).to_string(),
        Err(_) => time.to_string(),
    }
}

/// Formats as [`local`], or returns [`NOTHING`].
pub(in crate::cli) fn local_or_nothing(time: Option<Timestamp>) -> String {
    time.map_or_else(|| NOTHING.to_owned(), local)
}

/// Formats a list as one cell.
pub(in crate::cli) fn list(items: &[String]) -> String {
    items.join(", ")
}
