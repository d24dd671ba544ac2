//! What a hook tool was given, taken out of what it says about it. Pure.
//!
//! A tool that fails may quote its arguments and its input, whole or in part, and they may be
//! secrets. So whatever of an error message also occurs in what the tool was given is hidden; too
//! much rather than too little.

use std::collections::HashSet;

/// What stands in the place of what is hidden.
const HIDDEN: &str = "***";

/// How many characters in a row must agree before a part of a value is taken for the value. Shorter
/// values are hidden where they stand as words of their own.
const SHORTEST_PART: usize = 4;

/// What Juju's tools call their own options: no secrets, whoever wrote them.
const OPTIONS: [&str; 8] =
    ["--app", "--file", "--format", "--format=json", "--log-level", "--label", "--owner", "-r"];

/// `line` without anything that `given` holds.
pub(super) fn redact<'a>(line: &str, given: impl IntoIterator<Item = &'a str>) -> String {
    let line: Vec<char> = line.chars().collect();
    let mut is_hidden = vec![false; line.len()];
    for value in given.into_iter().filter(|value| !OPTIONS.contains(value)) {
        let value: Vec<char> = value.chars().collect();
        hide(&line, &value, &mut is_hidden);
    }
    without(&line, &is_hidden)
}

/// Marks what of `line` occurs in `value`.
fn hide(line: &[char], value: &[char], is_hidden: &mut [bool]) {
    let length = value.len().min(SHORTEST_PART);
    if length == 0 {
        return;
    }
    // Values may be large, lines are not: so each is walked through once.
    let parts_of_line: HashSet<&[char]> = line.windows(length).collect();
    let shared: HashSet<&[char]> =
        value.windows(length).filter(|part| parts_of_line.contains(part)).collect();
    for (start, part) in line.windows(length).enumerate() {
        let end = start + length;
        if shared.contains(part) && (length == SHORTEST_PART || is_word(line, start, end)) {
            is_hidden[start..end].fill(true);
        }
    }
}

/// Whether the characters stand alone.
fn is_word(line: &[char], start: usize, end: usize) -> bool {
    let is_inside = |character: Option<&char>| character.is_some_and(|c| c.is_alphanumeric());
    !is_inside(start.checked_sub(1).and_then(|before| line.get(before)))
        && !is_inside(line.get(end))
}

/// The line with every hidden stretch replaced.
fn without(line: &[char], is_hidden: &[bool]) -> String {
    let mut text = String::new();
    let mut was_hidden = false;
    for (&character, &hidden) in line.iter().zip(is_hidden) {
        match (hidden, was_hidden) {
            (true, false) => text.push_str(HIDDEN),
            (true, true) => {}
            (false, _) => text.push(character),
        }
        was_hidden = hidden;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn values_are_hidden_whole_and_in_part() {
        for (given, line, redacted) in [
            (&["password=hunter2"][..], "ERROR bad value \"hunter2\"", "ERROR bad value \"***\""),
            (
                &["password=hunter2"],
                "ERROR cannot unmarshal `hunt...`",
                "ERROR cannot unmarshal `***...`",
            ),
            (&["-", "hunter2\nsecond"], "ERROR line 2: second", "ERROR line 2: ***"),
            (&["tracing:3"], "ERROR relation tracing:3 not found", "ERROR relation *** not found"),
            (&["ünïcödé"], "ERROR ünïcödé!", "ERROR ***!"),
            (&["abc"], "ERROR abc, abcd", "ERROR ***, abcd"),
            (&["7"], "ERROR 7 of 17", "ERROR *** of 17"),
            (&["--format=json", "--app", "-r"], "ERROR no --format=json", "ERROR no --format=json"),
            (&["hunter2", "hunter23"], "ERROR hunter23", "ERROR ***"),
            (&[""], "ERROR permission denied", "ERROR permission denied"),
            (&["x"], "", ""),
        ] {
            assert_eq!(redact(line, given.iter().copied()), redacted, "{given:?}");
        }
    }

    #[test]
    fn a_value_longer_than_the_line_is_hidden_too() {
        let value = "0123456789".repeat(100);
        assert_eq!(redact("ERROR 5678901234", [value.as_str()]), "ERROR ***");
    }
}
