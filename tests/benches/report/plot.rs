//! Figures as a picture: horizontal bars in groups, as SVG.
//!
//! The picture has a white panel of its own, so that it reads on dark pages too, and colours that
//! those who see few of them can tell apart. Text is text: whoever shows the picture has the fonts.

use std::fs;
use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::{
    DrawingArea, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor, Rectangle, SVGBackend,
    Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle, ShapeStyle};

/// Horizontal bars under a title, on one axis.
#[derive(Debug)]
pub(crate) struct BarChart {
    pub(crate) title: String,
    /// What the reader has to know, under the title.
    pub(crate) subtitle: String,
    /// What the axis measures, with its unit.
    pub(crate) axis: String,
    pub(crate) scale: Scale,
    /// How a value is written, at bars and at the axis.
    pub(crate) format: fn(f64) -> String,
    pub(crate) groups: Vec<Group>,
}

/// How lengths follow from values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From zero.
    Linear,
    /// From the power of ten below the smallest value.
    Logarithmic,
}

/// Bars that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) whose: Whose,
    pub(crate) bars: Vec<Bar>,
}

/// Whose figures they are, which is what a bar's colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Peers,
    /// Not of this run, perhaps not of this machine.
    Elsewhere,
}

/// One figure.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// What is written at the bar, where the value alone says too much.
    pub(crate) written: Option<String>,
}

impl Bar {
    pub(crate) fn new(label: impl Into<String>, value: f64) -> Self {
        Self { label: label.into(), value, written: None }
    }

    pub(crate) fn written(self, text: &str) -> Self {
        Self { written: Some(text.to_owned()), ..self }
    }
}

const WIDTH: i32 = 960;
const MARGIN: i32 = 28;
/// Where bars begin, and end at most: labels stand before, values behind.
const BARS: (i32, i32) = (330, WIDTH - MARGIN - 96);
const HEAD: i32 = 92;
const GROUP: i32 = 38;
const ROW: i32 = 26;
const BAR: i32 = 16;
const FOOT: i32 = 74;

const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
const FAINT_INK: RGBColor = RGBColor(0x57, 0x60, 0x6a);
const GRID: RGBColor = RGBColor(0xdd, 0xe1, 0xe6);
const PANEL: RGBColor = RGBColor(0xff, 0xff, 0xff);

impl Whose {
    /// Of Okabe and Ito's palette, and grey.
    fn colour(self) -> RGBColor {
        match self {
            Self::Ours => RGBColor(0x00, 0x72, 0xb2),
            Self::Peers => RGBColor(0xe6, 0x9f, 0x00),
            Self::Elsewhere => RGBColor(0x8c, 0x95, 0x9f),
        }
    }
}

impl BarChart {
    /// Draws it into the file `path`.
    pub(crate) fn draw(&self, path: &Path) -> io::Result<()> {
        let mut svg = String::new();
        self.draw_into(&mut svg).map_err(io::Error::other)?;
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, svg)
    }

    fn draw_into(&self, svg: &mut String) -> Drawn {
        let size = (WIDTH.unsigned_abs(), self.height().unsigned_abs());
        let canvas = Canvas { area: SVGBackend::with_string(svg, size).into_drawing_area() };
        canvas.rectangle((0, 0), (WIDTH, self.height()), PANEL)?;
        canvas.text(&self.title, (MARGIN, 24), &Style::title())?;
        canvas.text(&self.subtitle, (MARGIN, 58), &Style::faint(HPos::Left))?;
        self.draw_axis(&canvas)?;
        self.draw_groups(&canvas)?;
        canvas.area.present()
    }

    fn height(&self) -> i32 {
        let rows: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        HEAD + GROUP * count(self.groups.len()) + ROW * count(rows) + FOOT
    }

    fn draw_axis(&self, canvas: &Canvas<'_>) -> Drawn {
        let bottom = self.height() - FOOT + 8;
        for tick in self.ticks() {
            let x = self.x(tick);
            canvas.line((x, HEAD), (x, bottom), GRID)?;
            canvas.text(&(self.format)(tick), (x, bottom + 6), &Style::faint(HPos::Center))?;
        }
        let middle = i32::midpoint(BARS.0, BARS.1);
        canvas.text(&self.axis, (middle, bottom + 30), &Style::faint(HPos::Center))
    }

    fn draw_groups(&self, canvas: &Canvas<'_>) -> Drawn {
        let mut y = HEAD;
        for group in &self.groups {
            let heading = Style::heading(group.whose);
            canvas.text_on_panel(&group.name, (MARGIN, y + 14), &heading)?;
            y += GROUP;
            for bar in &group.bars {
                self.draw_bar(canvas, bar, group.whose, y)?;
                y += ROW;
            }
        }
        Ok(())
    }

    fn draw_bar(&self, canvas: &Canvas<'_>, bar: &Bar, whose: Whose, y: i32) -> Drawn {
        let (left, right) = (BARS.0, self.x(bar.value).max(BARS.0 + 2));
        canvas.text(&bar.label, (left - 10, y + BAR / 2 - 7), &Style::plain(HPos::Right))?;
        canvas.rectangle((left, y), (right, y + BAR), whose.colour())?;
        let value = bar.written.clone().unwrap_or_else(|| (self.format)(bar.value));
        canvas.text_on_panel(&value, (right + 7, y + BAR / 2 - 7), &Style::plain(HPos::Left))
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let bars = self.groups.iter().flat_map(|group| &group.bars);
        bars.map(|bar| bar.value).filter(|value| value.is_finite() && *value > 0.0)
    }

    /// The axis' ends.
    fn range(&self) -> (f64, f64) {
        let (least, most) =
            self.values().fold((f64::MAX, f64::MIN_POSITIVE), |(a, b), v| (a.min(v), b.max(v)));
        match self.scale {
            Scale::Linear => (0.0, most),
            Scale::Logarithmic => {
                (10_f64.powf(least.min(most).log10().floor()), 10_f64.powf(most.log10().ceil()))
            }
        }
    }

    fn ticks(&self) -> Vec<f64> {
        let (least, most) = self.range();
        match self.scale {
            Scale::Linear => {
                let step = round_step(most / 5.0);
                (0..=8).map(|tick| f64::from(tick) * step).filter(|tick| *tick <= most).collect()
            }
            Scale::Logarithmic => (0..16)
                .map(|power| least * 10_f64.powi(power))
                .filter(|tick| *tick <= most * 1.01)
                .collect(),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a place on the picture")]
    fn x(&self, value: f64) -> i32 {
        let (least, most) = self.range();
        let share = match self.scale {
            Scale::Linear => value / most,
            Scale::Logarithmic => (value / least).log10() / (most / least).log10(),
        };
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        BARS.0 + (f64::from(BARS.1 - BARS.0) * share).round() as i32
    }
}

/// The round number at or above `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let wanted = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step);
    wanted.unwrap_or(10.0) * power
}

fn count(things: usize) -> i32 {
    i32::try_from(things).unwrap_or(i32::MAX)
}

type Drawn = Result<(), plotters::drawing::DrawingAreaErrorKind<io::Error>>;

/// How a text looks.
struct Style {
    size: i32,
    weight: FontStyle,
    ink: RGBColor,
    side: HPos,
}

impl Style {
    fn title() -> Self {
        Self { size: 25, weight: FontStyle::Bold, ink: INK, side: HPos::Left }
    }

    fn heading(whose: Whose) -> Self {
        // Orange on white is too light for text; the bars under it say whose they are.
        let ink = if whose == Whose::Ours { whose.colour() } else { INK };
        Self { size: 18, weight: FontStyle::Bold, ink, side: HPos::Left }
    }

    fn plain(side: HPos) -> Self {
        Self { size: 17, weight: FontStyle::Normal, ink: INK, side }
    }

    fn faint(side: HPos) -> Self {
        Self { ink: FAINT_INK, ..Self::plain(side) }
    }

    fn of_plotters(&self) -> TextStyle<'_> {
        let font = ("Helvetica, Arial, sans-serif", self.size).into_font().style(self.weight);
        TextStyle::from(font).color(&self.ink).pos(Pos::new(self.side, VPos::Top))
    }
}

struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl Canvas<'_> {
    fn text(&self, text: &str, at: (i32, i32), style: &Style) -> Drawn {
        self.area.draw(&Text::new(text.to_owned(), at, style.of_plotters()))
    }

    /// A text that no line of the grid goes through.
    fn text_on_panel(&self, text: &str, at: (i32, i32), style: &Style) -> Drawn {
        // More than half of its height is what a letter is wide.
        let width = count(text.chars().count()) * (style.size * 11 / 20);
        self.rectangle((at.0 - 3, at.1 - 2), (at.0 + width, at.1 + style.size), PANEL)?;
        self.text(text, at, style)
    }

    fn rectangle(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Drawn {
        self.area.draw(&Rectangle::new([from, to], colour.filled()))
    }

    fn line(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Drawn {
        self.area.draw(&PathElement::new([from, to], ShapeStyle::from(&colour).stroke_width(1)))
    }
}
