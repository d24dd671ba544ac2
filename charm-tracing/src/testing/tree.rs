//! The comparison of a trace with the tree that a test expects.

use std::fmt::Write;

use super::Trace;

/// Compares the names of a trace's spans, as a tree, with an outline: a line a span, two spaces a
/// level. Indentation that all lines share does not count.
///
/// ```
/// use charm_tracing::assert_tree;
/// use charm_tracing::testing::capture;
///
/// let trace = capture(|| charm_tracing::event("database-ready", || {}));
/// assert_tree!(
///     trace,
///     "
///     capture
///       event: database-ready
///     "
/// );
/// ```
///
/// # Panics
///
/// When they are different, with a line for each span that is missing (`-`) or not expected (`+`).
#[macro_export]
macro_rules! assert_tree {
    ($trace:expr, $outline:expr $(,)?) => {
        $crate::testing::assert_tree(&$trace, $outline)
    };
}

/// What the macro calls.
#[doc(hidden)]
#[track_caller]
pub fn assert_tree(trace: &Trace, expected: &str) {
    let (found, expected) = (trace.outline(), undented(expected));
    let difference = difference(&expected, &found);
    assert!(found == expected, "the trace is another one (- expected, + found):\n\n{difference}");
}

/// The outline without empty lines and without the indentation that all lines share.
fn undented(outline: &str) -> String {
    let lines = outline.lines().filter(|line| !line.trim().is_empty());
    let indent = |line: &str| line.len() - line.trim_start().len();
    let shared = lines.clone().map(indent).min().unwrap_or_default();
    lines.fold(String::new(), |text, line| text + line[shared..].trim_end() + "\n")
}

/// Both texts as one, lines of only one of them marked; by the longest common subsequence.
fn difference(expected: &str, found: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let common = common_lengths(&old, &new);
    let (mut text, mut i, mut j) = (String::new(), 0, 0);
    while i < old.len() || j < new.len() {
        let (mark, line) = if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            (' ', old[i - 1])
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', old[i - 1])
        } else {
            j += 1;
            ('+', new[j - 1])
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{mark} {line}");
    }
    text
}

/// How many lines the rests from `i` and from `j` have in common, in order.
fn common_lengths(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_is_marked() {
        let expected = "root\n  a\n  b\n  c\n";
        let found = "root\n  a\n  x\n  c\n    d\n";
        assert_eq!(difference(expected, found), "  root\n    a\n-   b\n+   x\n    c\n+     d\n");
    }

    #[test]
    fn shared_indentation_does_not_count() {
        assert_eq!(undented("\n    root\n      child\n    "), "root\n  child\n");
    }
}
