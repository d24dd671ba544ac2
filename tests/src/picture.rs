//! A picture of a terminal: text with ANSI colours, as an SVG that looks the same everywhere.
//!
//! Lines and blocks are drawn, not written: a font's own would leave gaps between the rows. Every
//! piece of text is told how long it is, so that columns stay in line in whatever monospaced font
//! the reader has. The window brings its own background and so can be read on light and dark pages.

use std::fmt::{self, Write};

/// A terminal's window to be drawn; `Display` draws it.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// What the window's bar says.
    pub title: &'a str,
    /// What the terminal shows.
    pub text: &'a str,
}

/// A character's cell, in pixels.
const CELL_WIDTH: usize = 8;
const CELL_HEIGHT: usize = 20;
/// From a cell's upper edge to the line that characters stand on.
const BASELINE: usize = 14;
const MARGIN: usize = 24;
const BAR_HEIGHT: usize = 40;

const STYLE: &str = "\
text{font:13.3px ui-monospace,SFMono-Regular,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',\
'Liberation Mono',monospace;fill:#e6edf3;white-space:pre}\
text.dim{fill:#8b949e}text.bold{font-weight:700;fill:#fff}text.red{fill:#ff7b72}\
text.cyan{fill:#56d4dd}\
path{fill:none;stroke:#6e7681;stroke-width:1.2}path.red{stroke:#ff7b72}path.cyan{stroke:#56d4dd}\
path.rail{stroke-opacity:.28}path.cross{stroke-width:1.8;stroke-linecap:round}\
rect.red{fill:#f85149}rect.cyan{fill:#39c5cf}";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Plain,
    Dim,
    Bold,
    Red,
    Cyan,
}

impl Colour {
    /// Of an SGR sequence's parameter.
    fn of(parameter: &str) -> Self {
        match parameter {
            "1" => Self::Bold,
            "2" => Self::Dim,
            "31" => Self::Red,
            "36" => Self::Cyan,
            _ => Self::Plain,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Dim => "dim",
            Self::Bold => "bold",
            Self::Red => "red",
            Self::Cyan => "cyan",
        }
    }
}

/// Characters of one kind and colour that stand side by side.
struct Piece {
    column: usize,
    colour: Colour,
    text: String,
}

impl fmt::Display for Picture<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<Vec<Piece>> = self.text.lines().map(pieces).collect();
        let end = |piece: &Piece| piece.column + piece.text.chars().count();
        let columns = rows.iter().flatten().map(end).max().unwrap_or_default();
        let width = columns * CELL_WIDTH + 2 * MARGIN;
        let height = rows.len() * CELL_HEIGHT + BAR_HEIGHT + MARGIN;
        self.window(formatter, width, height)?;
        for (row, pieces) in rows.iter().enumerate() {
            let top = BAR_HEIGHT + row * CELL_HEIGHT;
            for piece in pieces {
                piece.draw(formatter, top)?;
            }
        }
        formatter.write_str("</svg>\n")
    }
}

impl Picture<'_> {
    fn window(&self, out: &mut impl Write, width: usize, height: usize) -> fmt::Result {
        let title = escaped(self.title);
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title">"#
        )?;
        writeln!(out, r#"<title id="title">What `{title}` shows in a terminal</title>"#)?;
        writeln!(out, "<style>{STYLE}</style>")?;
        let (inner_width, inner_height) = (width - 1, height - 1);
        writeln!(
            out,
            r##"<rect x=".5" y=".5" width="{inner_width}" height="{inner_height}" rx="10" fill="#161b22" stroke="#3d444d"/>"##
        )?;
        for (nth, colour) in ["#ff5f57", "#febc2e", "#28c840"].into_iter().enumerate() {
            let x = MARGIN + nth * 18;
            writeln!(out, r#"<circle cx="{x}" cy="18" r="5.5" fill="{colour}"/>"#)?;
        }
        let middle = width / 2;
        writeln!(
            out,
            r#"<text class="dim" x="{middle}" y="22" text-anchor="middle">{title}</text>"#
        )
    }
}

impl Piece {
    fn draw(&self, out: &mut impl Write, top: usize) -> fmt::Result {
        let x = MARGIN + self.column * CELL_WIDTH;
        let class = self.colour.class();
        let count = self.text.chars().count();
        let length = count * CELL_WIDTH;
        match self.text.chars().next() {
            Some('█') => {
                let (y, height) = (top + 5, CELL_HEIGHT - 10);
                writeln!(
                    out,
                    r#"<rect class="{class}" x="{x}" y="{y}" width="{length}" height="{height}" rx="2"/>"#
                )
            }
            Some('✗') => {
                let (x, y) = (x + 1, top + 7);
                writeln!(out, r#"<path class="cross {class}" d="M{x},{y}l6,6m0,-6l-6,6"/>"#)
            }
            Some('│' | '├' | '└' | '─') => {
                // The ends of a bar are only to be guessed.
                let rail = if self.colour == Colour::Dim { "" } else { " rail" };
                let lines: String = self
                    .text
                    .chars()
                    .enumerate()
                    .map(|(nth, line)| lines_of(line, x + nth * CELL_WIDTH, top))
                    .collect();
                writeln!(out, r#"<path class="{class}{rail}" d="{lines}"/>"#)
            }
            _ => {
                let (y, text) = (top + BASELINE, escaped(&self.text));
                writeln!(
                    out,
                    r#"<text class="{class}" x="{x}" y="{y}" textLength="{length}" lengthAdjust="spacingAndGlyphs">{text}</text>"#
                )
            }
        }
    }
}

/// A box-drawing character, as the path of its strokes in the cell at `x` and `top`.
fn lines_of(character: char, x: usize, top: usize) -> String {
    let (middle, half) = (x + CELL_WIDTH / 2, CELL_HEIGHT / 2);
    let (centre, to_edge) = (top + half, CELL_WIDTH - CELL_WIDTH / 2);
    match character {
        '│' => format!("M{middle},{top}v{CELL_HEIGHT}"),
        '├' => format!("M{middle},{top}v{CELL_HEIGHT}M{middle},{centre}h{to_edge}"),
        '└' => {
            let straight = half - to_edge;
            format!("M{middle},{top}v{straight}q0,{to_edge} {to_edge},{to_edge}")
        }
        _ => format!("M{x},{centre}h{CELL_WIDTH}"),
    }
}

/// What kind of piece a character belongs to: what is drawn is drawn apart from text.
fn kind(character: char) -> u8 {
    match character {
        '│' | '├' | '└' | '─' => 1,
        '█' => 2,
        '✗' => 3,
        _ => 0,
    }
}

/// The pieces of one line. Spaces at the ends of a piece belong to none, nor do two or more between
/// two words.
fn pieces(line: &str) -> Vec<Piece> {
    let (mut pieces, mut column) = (Vec::<Piece>::new(), 0);
    let mut spaces = usize::MAX;
    for (colour, text) in coloured(line) {
        for character in text.chars() {
            if character == ' ' {
                spaces = spaces.saturating_add(1);
                column += 1;
                continue;
            }
            match pieces.last_mut() {
                Some(piece) if piece.takes(colour, character, spaces) => {
                    piece.text.push_str(if spaces == 1 { " " } else { "" });
                    piece.text.push(character);
                }
                _ => pieces.push(Piece { column, colour, text: character.into() }),
            }
            spaces = 0;
            column += 1;
        }
    }
    pieces
}

impl Piece {
    /// Whether the character goes on with this piece, so many spaces behind it.
    fn takes(&self, colour: Colour, character: char, spaces: usize) -> bool {
        let kind_here = self.text.chars().next_back().map(kind);
        let apart = usize::from(kind(character) == 0);
        self.colour == colour && kind_here == Some(kind(character)) && spaces <= apart
    }
}

/// A line's stretches of one colour.
fn coloured(line: &str) -> Vec<(Colour, &str)> {
    let mut stretches = line.split("\x1b[");
    let first = stretches.next().map(|text| (Colour::Plain, text));
    let others = stretches.filter_map(|stretch| {
        let (parameter, text) = stretch.split_once('m')?;
        Some((Colour::of(parameter), text))
    });
    first.into_iter().chain(others).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_its_column_and_colour() {
        let found = pieces("\x1b[2m├── \x1b[0mone word   9 ms  \x1b[31m│ ██│\x1b[0m");
        let found: Vec<(usize, &str, Colour)> =
            found.iter().map(|piece| (piece.column, piece.text.as_str(), piece.colour)).collect();
        assert_eq!(
            found,
            [
                (0, "├──", Colour::Dim),
                (4, "one word", Colour::Plain),
                (15, "9 ms", Colour::Plain),
                (21, "│", Colour::Red),
                (23, "██", Colour::Red),
                (25, "│", Colour::Red),
            ]
        );
    }

    #[test]
    fn what_xml_gives_a_meaning_to_is_escaped() {
        let picture = Picture { title: "a & b", text: "<b>" }.to_string();
        assert!(picture.contains("a &amp; b") && picture.contains(">&lt;b&gt;<"), "{picture}");
    }
}
