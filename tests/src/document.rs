//! What stands in a Markdown document, for tests that hold it against the truth.

use std::fs;
use std::path::{Path, PathBuf};

/// A document of this repository.
#[derive(Debug)]
pub struct Document {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl Document {
    /// The document at `path`, from the repository's root.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[expect(clippy::expect_used, reason = "a test of a document needs it")]
    pub fn read(path: &str) -> Self {
        let path = repository().join(path);
        let text = fs::read_to_string(&path).expect("read the document");
        Self { path, text }
    }

    /// The code blocks of that language, in their order.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let (mut blocks, mut open) = (Vec::new(), None::<(bool, String)>);
        for line in self.text.lines() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(found), None) => open = Some((found == language, String::new())),
                (None, Some((_, block))) => {
                    block.push_str(line);
                    block.push('\n');
                }
                (None, None) => {}
            }
        }
        blocks.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, block)| block).collect()
    }

    /// The first cell of each row of the tables whose head begins with `column`, as it is read:
    /// code without the marks around it.
    pub fn column(&self, column: &str) -> Vec<String> {
        let (mut cells, mut is_wanted) = (Vec::new(), false);
        let mut was_table = false;
        for line in self.text.lines() {
            let cell = line.strip_prefix("| ").and_then(|row| row.split(" | ").next());
            match cell {
                None => was_table = line.starts_with('|'),
                Some(head) if !was_table => (was_table, is_wanted) = (true, head == column),
                Some(rule) if rule.starts_with("---") => {}
                Some(cell) if is_wanted => cells.push(code_of(cell)),
                Some(_) => {}
            }
        }
        cells
    }
}

/// The text of a cell that is code: marked by one backtick, or by two and a space.
fn code_of(cell: &str) -> String {
    let twice = cell.strip_prefix("`` ").and_then(|cell| cell.strip_suffix(" ``"));
    let once = || cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
    twice.or_else(once).unwrap_or(cell).to_owned()
}

/// The repository's root.
pub fn repository() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}
