//! What was measured, as a table, ratios, verdicts and a picture.

use crate::contenders::{ATTACH, CALLS_A_ROUND, FASTRACE, IDLE, OURS, PLAIN, SDK, TRACING};
use crate::report::{Bar, BarChart, Group, Report, Scale, Spread, Table, Verdict, Whose};

/// The one that is a program of its own, since tracing cannot be in this one and not be in it.
pub(crate) const COMPILED_OUT: &str = "ours, compiled out";

/// What one way to trace a call costs.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) whose: Whose,
    pub(crate) nanos: Spread,
}

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) rounds: usize,
    pub(crate) figures: Vec<Figure>,
}

impl Findings {
    /// In the order of reading: figures, ratios, verdicts.
    pub(crate) fn report(&self) -> Report {
        let mut report = Report::new("spans");
        report.note(&format!(
            "Medians of {} interleaved rounds of {CALLS_A_ROUND} calls, in parentheses the quartiles.",
            self.rounds
        ));
        report.table("A traced call", &self.table());
        let ratios = [SDK, TRACING, FASTRACE, ATTACH]
            .map(|peer| (format!("{OURS}/{peer}").replace(',', ""), self.ratio(peer)));
        report.ratios(ratios.iter().map(|(name, ratio)| (name.as_str(), *ratio)));
        report.verdicts(&[
            Verdict::at_most("no execution, above plain", 3.0, self.above_plain(IDLE), " ns"),
            Verdict::at_most("in an execution, of the SDK's time", 0.6, self.ratio(SDK), "×"),
            Verdict::at_most("in an execution, of fastrace's time", 1.2, self.ratio(FASTRACE), "×"),
        ]);
        report
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["one call", "ns", "above plain, ns"]);
        for Figure { name, nanos, .. } in &self.figures {
            let above = format!("{:.1}", self.above_plain(name));
            table.row([(*name).to_owned(), nanos.with_quartiles(1), above]);
        }
        table
    }

    fn of(&self, name: &str) -> f64 {
        let found = self.figures.iter().find(|figure| figure.name == name);
        found.map_or(f64::NAN, |figure| figure.nanos.median)
    }

    fn above_plain(&self, name: &str) -> f64 {
        self.of(name) - self.of(PLAIN)
    }

    /// Ours in an execution, of the peer's time.
    fn ratio(&self, peer: &str) -> f64 {
        self.of(OURS) / self.of(peer)
    }

    pub(crate) fn chart(&self) -> BarChart {
        BarChart {
            title: "What one traced call costs".to_owned(),
            subtitle: "Medians of one run, up to where the span waits to be sent".to_owned(),
            axis: "nanoseconds a call".to_owned(),
            scale: Scale::Linear,
            format: |nanos| format!("{nanos:.0}"),
            groups: vec![
                self.group("charm-tracing", Whose::Ours),
                self.group("The same method, untraced and traced by others", Whose::Peers),
            ],
        }
    }

    fn group(&self, name: &str, whose: Whose) -> Group {
        let figures = self.figures.iter().filter(|figure| figure.whose == whose);
        let bar = |figure: &Figure| {
            let nanos = figure.nanos.median;
            // Whose it is the group says.
            Bar::new(figure.name.trim_start_matches("ours, "), nanos)
                .written(&format!("{nanos:.1} ns"))
        };
        Group { name: name.to_owned(), whose, bars: figures.map(bar).collect() }
    }
}
