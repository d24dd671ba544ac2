//! Tables that are aligned for people and Markdown for documents.

use std::fmt;

/// Rows under headings; the first column is text, the others are figures.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<H: Into<String>>(headings: impl IntoIterator<Item = H>) -> Self {
        Self { rows: vec![headings.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row, one cell for each heading.
    pub(crate) fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = self.width(column);
                if column == 0 {
                    write!(formatter, "| {cell:<width$} |")?;
                } else {
                    write!(formatter, " {cell:>width$} |")?;
                }
            }
            writeln!(formatter)?;
            if number == 0 {
                self.rule(row.len(), formatter)?;
            }
        }
        Ok(())
    }
}

impl Table {
    /// The line under the headings, which says on what side the cells are.
    fn rule(&self, columns: usize, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for column in 0..columns {
            let line = "-".repeat(self.width(column) - 1);
            let rule = if column == 0 { format!("| {line}- |") } else { format!(" {line}: |") };
            formatter.write_str(&rule)?;
        }
        writeln!(formatter)
    }
}
