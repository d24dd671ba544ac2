//! The sections of BENCHMARKS.md that benchmarks write themselves, between marks of their own.

use std::fs;
use std::io;
use std::path::Path;

/// Puts `text` in the place of what stands in the section `name`.
pub(super) fn save(document: &Path, name: &str, text: &str) -> io::Result<()> {
    let before = fs::read_to_string(document)?;
    let after = replaced(&before, name, text).ok_or_else(|| {
        io::Error::other(format!("{} has no marks for `{name}`", document.display()))
    })?;
    fs::write(document, after)
}

fn replaced(document: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (head, rest) = document.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}\n\n{}\n\n{end}{tail}", text.trim()))
}
