//! Trees that were drawn, read again: what is the same in every run.

use regex::{Captures, Regex};

/// One row of a tree, without its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// How many spans it lies under.
    pub depth: usize,
    /// The span's name.
    pub name: String,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// The rows of all trees in `text`, drawn without colours.
///
/// # Panics
///
/// Never: the pattern is a constant.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant")]
pub fn rows(text: &str) -> Vec<Row> {
    let pattern = r"(?m)^([├└│─ ]*)([^ ].*?) +[0-9.]+ (?:µs|ms|s) +│[ █]+│(?:  ✗ (.*))?$";
    let row = |found: Captures<'_>| Row {
        depth: found[1].chars().count() / 4,
        name: found[2].to_owned(),
        failure: found.get(3).map(|failure| failure.as_str().to_owned()),
    };
    Regex::new(pattern).unwrap().captures_iter(text).map(row).collect()
}
