//! The table: rows of what was measured, what it is held against, and the figure to reach.

use std::{fmt::Write, path::Path, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Plan, load::Sample};

/// A figure to reach.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    None,
    AtLeast(f64),
    AtMost(f64),
}

/// The report at the end.
pub struct Report {
    quick: bool,
    rounds: usize,
    about: Vec<String>,
    rows: Vec<[String; 5]>,
    notes: Vec<String>,
    bar: ProgressBar,
}

const HEAD: [&str; 5] = ["what", "sealroom", "beside it", "ratio (lowest to highest)", "to reach"];

impl Report {
    pub fn new(plan: &Plan) -> Self {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").unwrap();
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            quick: plan.quick,
            rounds: plan.rounds,
            about: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
            bar,
        }
    }

    /// Says on a terminal what goes on.
    pub fn doing(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    /// A line above the table.
    pub fn about(&mut self, what: &str, value: impl std::fmt::Display) {
        self.about.push(format!("{what}: {value}"));
    }

    /// A line below the table.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub fn plot(&mut self, path: &Path) {
        self.note(format!("plot: {}", path.display()));
    }

    /// A row whose two sides took turns; each round's own ratio counts.
    pub fn row(&mut self, what: &str, ours: String, beside: String, ratios: Vec<f64>, goal: Goal) {
        let mut ratios = ratios;
        ratios.sort_by(f64::total_cmp);
        let middle = median(ratios.clone());
        let shown = match ratios.as_slice() {
            [] => String::new(),
            [_] => format!("{middle:.2}"),
            [low, .., high] => format!("{middle:.2} ({low:.2} to {high:.2})"),
        };
        self.rows.push([what.to_owned(), ours, beside, shown, wanted(goal, middle, "")]);
    }

    /// A row of one figure by itself.
    pub fn figure(&mut self, what: &str, value: f64, unit: &str, beside: String, goal: Goal) {
        let ours = format!("{value:.*} {unit}", if value < 2.0 { 2 } else { 1 });
        self.rows.push([what.to_owned(), ours, beside, String::new(), wanted(goal, value, unit)]);
    }

    pub fn print(self) {
        self.bar.finish_and_clear();
        let mut text = String::new();
        if self.quick {
            text.push_str("A QUICK RUN: it shows that the benchmark runs; its figures mean nothing.\n\n");
        }
        for line in &self.about {
            writeln!(text, "- {line}").unwrap();
        }
        writeln!(text, "- medians of {} alternating rounds; p50 / p99 / p99.9\n", self.rounds).unwrap();
        let head = HEAD.map(str::to_owned);
        let widths: [usize; 5] = std::array::from_fn(|n| {
            self.rows.iter().chain([&head]).map(|row| row[n].chars().count()).max().unwrap_or(0)
        });
        let rule = widths.map(|width| "-".repeat(width));
        for row in [&head, &rule].into_iter().chain(&self.rows) {
            for (cell, width) in row.iter().zip(widths) {
                write!(text, "| {cell:width$} ").unwrap();
            }
            text.push_str("|\n");
        }
        text.push('\n');
        for note in &self.notes {
            writeln!(text, "- {note}").unwrap();
        }
        print!("{text}");
    }
}

fn wanted(goal: Goal, value: f64, unit: &str) -> String {
    let (text, reached) = match goal {
        Goal::None => return String::new(),
        Goal::AtLeast(least) => (format!("at least {least} {unit}"), value >= least),
        Goal::AtMost(most) => (format!("at most {most} {unit}"), value <= most),
    };
    format!("{}{}", text.trim_end(), if reached { "" } else { ": missed" })
}

/// Rate and percentiles, each the median of the rounds'.
pub fn shown(samples: &[Sample]) -> String {
    let of = |part: fn(&Sample) -> Duration| millis(median(samples.iter().map(part).collect()));
    let rate = median(samples.iter().map(|sample| sample.rate).collect());
    format!("{} /s, {} / {} / {} ms", thousands(rate), of(|s| s.p50), of(|s| s.p99), of(|s| s.p999))
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    format!("{millis:.*}", if millis < 10.0 { 2 } else { 0 })
}

/// A whole number with commas.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn median<T: PartialOrd + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values.get(values.len() / 2).copied().unwrap_or_default()
}
