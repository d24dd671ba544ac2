//! A trace drawn as an aligned tree: names, durations, a bar where in the trace each span lies,
//! and what failed, why.

use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use crate::{Span, Status, Trace};

/// How wide the bar is, in characters.
const BAR_WIDTH: usize = 24;

/// Whether what is drawn is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// Plain text.
    Plain,
    /// ANSI colours.
    Ansi,
}

impl Palette {
    /// Colours on a terminal, unless `NO_COLOR` is set to something (<https://no-color.org>).
    pub fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !refused { Self::Ansi } else { Self::Plain }
    }

    fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Ansi => format!("\x1b[{colour}m{text}\x1b[0m"),
        }
    }
}

const DIM: &str = "2";
const BOLD: &str = "1";
const RED: &str = "31";
const CYAN: &str = "36";

/// A trace to be drawn; `Display` draws it.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    trace: &'a Trace,
    palette: Palette,
}

struct Row<'a> {
    span: &'a Span,
    branch: String,
}

impl Row<'_> {
    fn width(&self) -> usize {
        self.branch.chars().count() + self.span.name.chars().count()
    }
}

impl<'a> Tree<'a> {
    /// Draws `trace`.
    pub fn new(trace: &'a Trace, palette: Palette) -> Self {
        Self { trace, palette }
    }

    fn rows(&self) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        let trace = self.trace;
        for root in trace.spans.iter().filter(|span| trace.parent_of(span).is_none()) {
            rows.push(Row { span: root, branch: String::new() });
            self.add_children(root, "", &mut rows);
        }
        rows
    }

    fn add_children(&self, parent: &'a Span, indent: &str, rows: &mut Vec<Row<'a>>) {
        let mut children = self.trace.children(parent).peekable();
        while let Some(child) = children.next() {
            let (branch, below) = if children.peek().is_some() {
                ("├── ", "│   ")
            } else {
                ("└── ", "    ")
            };
            rows.push(Row { span: child, branch: format!("{indent}{branch}") });
            self.add_children(child, &format!("{indent}{below}"), rows);
        }
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let widest = rows.iter().map(Row::width).max().unwrap_or_default();
        let begin = rows.iter().map(|row| row.span.start).min().unwrap_or_default();
        let end = rows.iter().map(|row| row.span.end).max().unwrap_or_default();
        for row in &rows {
            let Row { span, branch } = row;
            let padding = " ".repeat(widest - row.width());
            let failed = matches!(span.status, Status::Error(_));
            let name = match (failed, branch.is_empty()) {
                (true, _) => self.palette.paint(RED, &span.name),
                (false, true) => self.palette.paint(BOLD, &span.name),
                (false, false) => span.name.clone(),
            };
            let branch = self.palette.paint(DIM, branch);
            let duration = human(span.duration());
            let bar = self.palette.paint(if failed { RED } else { CYAN }, &bar(span, begin, end));
            write!(formatter, "{branch}{name}{padding}  {duration:>8}  {bar}")?;
            if let Status::Error(message) = &span.status {
                write!(formatter, "  {}", self.palette.paint(RED, &format!("✗ {message}")))?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

/// Where in the trace the span lies: every character that it touches.
fn bar(span: &Span, begin: u64, end: u64) -> String {
    let whole = u128::from(end.saturating_sub(begin).max(1));
    let scaled = |time: u64| u128::from(time.saturating_sub(begin)) * BAR_WIDTH as u128;
    let column = |scaled: u128| usize::try_from(scaled).unwrap_or(BAR_WIDTH).min(BAR_WIDTH);
    let from = column(scaled(span.start) / whole).min(BAR_WIDTH - 1);
    let to = column(scaled(span.end).div_ceil(whole)).max(from + 1);
    let (before, length, after) = (" ".repeat(from), to - from, " ".repeat(BAR_WIDTH - to));
    format!("│{before}{}{after}│", "█".repeat(length))
}

/// A duration in three digits and a unit.
fn human(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.0} µs"),
        ..1e4 => format!("{:.2} ms", micros / 1e3),
        ..1e5 => format!("{:.1} ms", micros / 1e3),
        ..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_at_every_size() {
        for (nanos, text) in [
            (0, "0 µs"),
            (999_000, "999 µs"),
            (1_234_567, "1.23 ms"),
            (12_345_678, "12.3 ms"),
            (123_456_789, "123 ms"),
            (1_234_567_890, "1.23 s"),
        ] {
            assert_eq!(human(Duration::from_nanos(nanos)), text);
        }
    }
}
