//! What was measured, as tables, ratios, verdicts and a picture.

use std::fmt::Write as _;
use std::io;

use crate::charms::Charm;
use crate::process::Sample;
use crate::programs::{CHARMS, Programs};
use crate::report::{Bar, BarChart, Group, Report, Scale, Spread, Table, Verdict, Whose};
use crate::situations::{Backend, Before, Situation};
use crate::{FEW, HUGE, IN_A_ROW, MANY, figures};

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    pub(crate) situations: Vec<Situation>,
    /// Of each situation, in their order.
    pub(crate) syncs: Vec<Option<usize>>,
    pub(crate) hangs: Hangs,
    pub(crate) scaling: Scaling,
    pub(crate) programs: &'a Programs,
}

/// Executions in a row before a backend that hangs.
#[derive(Debug)]
pub(crate) struct Hangs {
    pub(crate) untraced: Vec<Sample>,
    pub(crate) rows: Vec<Vec<Sample>>,
    pub(crate) usual: Vec<Sample>,
}

/// Executions without calls, with many, with very many.
#[derive(Debug)]
pub(crate) struct Scaling {
    pub(crate) ours: [Vec<Sample>; 3],
    pub(crate) untraced: [Vec<Sample>; 3],
    /// Without calls and with very many, all of which wait in memory.
    pub(crate) waiting: [Vec<Sample>; 2],
}

/// How long the network and the disk may hold a hook, in milliseconds: the default.
const DEADLINE: f64 = 1_000.0;

fn wall(sample: &Sample) -> f64 {
    sample.wall
}

fn cpu(sample: &Sample) -> f64 {
    sample.cpu
}

fn memory(sample: &Sample) -> f64 {
    sample.memory / 1024.0
}

/// A figure of what the first samples have more than the second, round by round.
fn difference(more: &[Sample], less: &[Sample], figure: fn(&Sample) -> f64) -> Spread {
    Spread::of(figures(more, figure).zip(figures(less, figure)).map(|(more, less)| more - less))
}

impl Findings<'_> {
    /// In the order of reading: figures, ratios, verdicts.
    pub(crate) fn report(&self) -> io::Result<Report> {
        let mut report = Report::new("execution");
        let rounds = self.situations.first().map_or(0, |situation| situation.samples.len());
        report.note(&format!(
            "Medians of {rounds} interleaved rounds, in parentheses the quartiles. Added is what a \
             contender takes more than the untraced charm of the same round. No `juju-log` is on \
             `PATH` but where it says so."
        ));
        for calls in [FEW, MANY] {
            let title = format!("A healthy backend: one event with {calls} calls");
            report.table(&title, &self.healthy(calls));
        }
        report.table("charm-tracing in each situation", &self.each());
        if self.syncs.iter().any(Option::is_none) {
            report.note("SKIPPED: strace is not installed, syncs are not counted");
        }
        report.table(&format!("{IN_A_ROW} executions, a backend that hangs"), &self.hanging());
        report.table("Many spans in one execution", &self.many());
        report.table("What a charm becomes", &self.sizes()?);
        report.ratios(self.ratios()?.iter().map(|(name, ratio)| (name.as_str(), *ratio)));
        report.verdicts(&self.verdicts()?);
        Ok(report)
    }

    fn of(&self, charm: Charm, backend: Backend, before: Before, calls: u64) -> &[Sample] {
        let wanted = |situation: &&Situation| {
            (situation.charm, situation.backend, situation.before, situation.calls)
                == (charm, backend, before, calls)
        };
        self.situations.iter().find(wanted).map_or(&[], |situation| &situation.samples)
    }

    fn untraced(&self, calls: u64) -> &[Sample] {
        self.of(Charm::Untraced, Backend::Absent, Before::Alike, calls)
    }

    fn added(&self, situation: &Situation, figure: fn(&Sample) -> f64) -> Spread {
        difference(&situation.samples, self.untraced(situation.calls), figure)
    }

    /// What a healthy backend adds.
    fn added_by(&self, charm: Charm, backend: Backend, calls: u64, of: fn(&Sample) -> f64) -> f64 {
        let samples = self.of(charm, backend, Before::Alike, calls);
        difference(samples, self.untraced(calls), of).median
    }

    /// What ours adds to a small event in this situation.
    fn held(&self, backend: Backend, before: Before) -> f64 {
        let ours = self.of(Charm::Ours, backend, before, FEW);
        difference(ours, self.untraced(FEW), wall).median
    }

    fn healthy(&self, calls: u64) -> Table {
        let mut table = Table::new([
            "",
            "wall, ms",
            "CPU, ms",
            "added wall, ms",
            "added CPU, ms",
            "peak memory, MiB",
        ]);
        for situation in self.contenders().filter(|situation| situation.calls == calls) {
            table.row([
                name(situation),
                Spread::of(figures(&situation.samples, wall)).with_quartiles(2),
                Spread::of(figures(&situation.samples, cpu)).with_quartiles(2),
                format!("{:.2}", self.added(situation, wall).median),
                format!("{:.2}", self.added(situation, cpu).median),
                format!("{:.1}", Spread::of(figures(&situation.samples, memory)).median),
            ]);
        }
        table
    }

    /// The first situations: each charm, twice.
    fn contenders(&self) -> impl Iterator<Item = &Situation> {
        self.situations.iter().take(CONTENDERS * 2)
    }

    fn each(&self) -> Table {
        let mut table =
            Table::new(["", "added wall, ms", "added CPU, ms", "peak memory, MiB", "syncs"]);
        for (number, situation) in self.situations.iter().enumerate() {
            if number < CONTENDERS * 2 && situation.charm != Charm::Ours {
                continue;
            }
            let syncs = self.syncs.get(number).copied().flatten();
            table.row([
                described(number, situation),
                self.added(situation, wall).with_quartiles(2),
                self.added(situation, cpu).with_quartiles(2),
                format!("{:.1}", Spread::of(figures(&situation.samples, memory)).median),
                syncs.map_or_else(|| "?".to_owned(), |syncs| syncs.to_string()),
            ]);
        }
        table
    }

    fn hanging(&self) -> Table {
        let mut table = Table::new(["", "held, ms"]);
        let held = |samples: &[Sample]| Spread::of(self.hangs.held(samples)).median;
        let firsts: Vec<Sample> =
            self.hangs.rows.iter().filter_map(|row| row.first().copied()).collect();
        let others: Vec<Sample> =
            self.hangs.rows.iter().flat_map(|row| row.iter().skip(1).copied()).collect();
        table.row(["charm-tracing, the first".to_owned(), format!("{:.1}", held(&firsts))]);
        table.row(["charm-tracing, one of the others".to_owned(), format!("{:.1}", held(&others))]);
        let all = self.hangs.in_deadlines() * DEADLINE;
        table.row([format!("charm-tracing, all {IN_A_ROW}"), format!("{all:.1}")]);
        table.row(["usual, each".to_owned(), format!("{:.1}", held(&self.hangs.usual))]);
        table
    }

    fn many(&self) -> Table {
        let mut table = Table::new(["", "value"]);
        let Scaling { ours, .. } = &self.scaling;
        for (number, calls) in [(1, MANY), (2, HUGE)] {
            let added = self.scaling.per_span(number, calls, wall) * 1e3;
            table.row([format!("added wall a span, {calls} spans, µs"), format!("{added:.2}")]);
            let added = self.scaling.per_span(number, calls, cpu) * 1e3;
            table.row([format!("added CPU a span, {calls} spans, µs"), format!("{added:.2}")]);
        }
        let peak = Spread::of(figures(&ours[2], memory)).median;
        table.row([format!("peak memory, {HUGE} spans, MiB"), format!("{peak:.1}")]);
        let peak = Spread::of(figures(&self.scaling.waiting[1], memory)).median;
        table.row(["the same without a buffer, MiB".to_owned(), format!("{peak:.1}")]);
        let waiting = self.scaling.waiting_bytes();
        table.row(["a span that waits in memory, bytes".to_owned(), format!("{waiting:.0}")]);
        table
    }

    fn sizes(&self) -> io::Result<Table> {
        let mut table = Table::new(["", "stripped program, KiB", "crates"]);
        for charm in CHARMS {
            let size = self.programs.size(charm)? / 1024;
            table.row([
                charm.name().to_owned(),
                size.to_string(),
                Programs::crates(charm)?.to_string(),
            ]);
        }
        Ok(table)
    }

    fn ratios(&self) -> io::Result<Vec<(String, f64)>> {
        let mut ratios = Vec::new();
        for calls in [FEW, MANY] {
            for (backend, peers) in PEERS {
                for peer in peers {
                    for (what, figure) in FIGURES {
                        let added = |charm| self.added_by(charm, backend, calls, figure);
                        let name =
                            format!("added-{what}-{}-{calls}/{}", scheme(backend), peer.name());
                        ratios.push((name, added(Charm::Ours) / added(peer)));
                    }
                }
            }
        }
        for peer in [Charm::Usual, Charm::UsualHttps] {
            ratios.push((format!("size/{}", peer.name()), self.size_ratio(peer)?));
        }
        let healthy = self.held(Backend::Http, Before::Alike);
        let absent = self.held(Backend::Absent, Before::Settled);
        let draining = self.held(Backend::Http, Before::Hundred);
        ratios.push(("added-wall-absent/healthy".to_owned(), absent / healthy));
        ratios.push(("added-wall-draining-100/healthy".to_owned(), draining / healthy));
        ratios.push(("wall-per-span-100000/1000".to_owned(), self.scaling.growth(wall)));
        ratios.push(("cpu-per-span-100000/1000".to_owned(), self.scaling.growth(cpu)));
        Ok(ratios)
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes of programs")]
    fn size_ratio(&self, peer: Charm) -> io::Result<f64> {
        Ok(self.programs.size(Charm::Ours)? as f64 / self.programs.size(peer)? as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of crates")]
    fn verdicts(&self) -> io::Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        for calls in [FEW, MANY] {
            for (what, figure) in FIGURES {
                let added = |charm| self.added_by(charm, Backend::Http, calls, figure);
                let ratio = added(Charm::Ours) / added(Charm::Usual);
                let what = format!("added {what}, http, {calls} calls, of the usual way's");
                verdicts.push(Verdict::at_most(what, 0.5, ratio, "×"));
            }
        }
        let healthy = self.held(Backend::Http, Before::Alike);
        let absent = self.held(Backend::Absent, Before::Settled) / healthy;
        let full = self.held(Backend::Absent, Before::Hundred) / healthy;
        let draining = self.held(Backend::Http, Before::Hundred) / healthy;
        let crates = Programs::crates(Charm::Ours)? as f64;
        let hanging = format!("{IN_A_ROW} executions, a backend that hangs: held");
        verdicts.extend([
            Verdict::at_most(hanging, 3.0, self.hangs.in_deadlines(), " deadlines"),
            Verdict::at_most("no backend, empty buffer: of a healthy one's time", 1.0, absent, "×"),
            Verdict::at_most("no backend, full buffer: of a healthy one's time", 1.0, full, "×"),
            Verdict::at_most("draining 100: of an ordinary one's time", 3.0, draining, "×"),
            Verdict::at_most(
                "program's size, of the usual way's",
                1.0,
                self.size_ratio(Charm::Usual)?,
                "×",
            ),
            Verdict::at_most(
                "the same, of the usual way's with https",
                1.0,
                self.size_ratio(Charm::UsualHttps)?,
                "×",
            ),
            Verdict::at_most("crates", 80.0, crates, ""),
            Verdict::at_most(
                "time a span, 100,000 spans, of 1,000's",
                1.3,
                self.scaling.growth(wall),
                "×",
            ),
            Verdict::at_most(
                "a span that waits in memory",
                300.0,
                self.scaling.waiting_bytes(),
                " bytes",
            ),
        ]);
        Ok(verdicts)
    }

    /// How long the hook is held, situation by situation.
    pub(crate) fn chart(&self) -> BarChart {
        let seconds = |milliseconds: f64| milliseconds / 1e3;
        let ours =
            |label: &str, backend, before| Bar::new(label, seconds(self.held(backend, before)));
        let peer = |label: &str, charm, backend| {
            let samples = self.of(charm, backend, Before::Alike, FEW);
            Bar::new(label, seconds(difference(samples, self.untraced(FEW), wall).median))
        };
        let held = |samples: &[Sample]| seconds(Spread::of(self.hangs.held(samples)).median);
        let nth = |nth: usize| -> Vec<Sample> {
            self.hangs.rows.iter().filter_map(|row| row.get(nth).copied()).collect()
        };
        let with_juju_log = self.situations.get(WITH_JUJU_LOG);
        let with_juju_log = with_juju_log.map_or(f64::NAN, |s| self.added(s, wall).median);
        BarChart {
            title: "How long tracing holds a hook".to_owned(),
            subtitle: format!(
                "One event with {FEW} calls; what is added to the same charm without tracing"
            ),
            axis: "time added to the hook, logarithmic".to_owned(),
            scale: Scale::Logarithmic,
            format: time,
            groups: vec![
                Group {
                    name: "charm-tracing".to_owned(),
                    whose: Whose::Ours,
                    bars: vec![
                        ours("healthy, http", Backend::Http, Before::Alike),
                        ours("healthy, https", Backend::Https, Before::Alike),
                        Bar::new("healthy, http, two juju-log", seconds(with_juju_log)),
                        ours("healthy, 100 executions to drain", Backend::Http, Before::Hundred),
                        ours("no backend, empty buffer", Backend::Absent, Before::Settled),
                        ours("no backend, full buffer", Backend::Absent, Before::Hundred),
                        ours("refused, the first time", Backend::Refused, Before::Settled),
                        ours("refused, backing off", Backend::Refused, Before::BackingOff),
                        Bar::new("hanging, the first time", held(&nth(0))),
                        Bar::new("hanging, backing off", held(&nth(1))),
                    ],
                },
                Group {
                    name: "The usual ways in Rust: OpenTelemetry's SDK".to_owned(),
                    whose: Whose::Peers,
                    bars: vec![
                        peer("by hand, healthy, http", Charm::Usual, Backend::Http),
                        peer("by hand, healthy, https", Charm::UsualHttps, Backend::Https),
                        peer("tracing crate, healthy, http", Charm::UsualTracing, Backend::Http),
                        peer(
                            "tracing crate, healthy, https",
                            Charm::UsualTracingHttps,
                            Backend::Https,
                        ),
                        peer("by hand, refused (spans lost)", Charm::Usual, Backend::Refused),
                        Bar::new("by hand, hanging (spans lost)", held(&self.hangs.usual)),
                    ],
                },
                elsewhere(),
            ],
        }
    }
}

/// The figures of the systems for Python, which no run of this benchmark takes.
fn elsewhere() -> Group {
    Group {
        name: "Measured elsewhere, whole Python processes".to_owned(),
        whose: Whose::Elsewhere,
        bars: vec![
            Bar::new("either, healthy: its CPU alone", 0.2).written("150 to 250 ms"),
            Bar::new("ops[tracing], hanging, each time", 6.4),
            Bar::new("charm_tracing, slow, 100 to drain", 42.0),
        ],
    }
}

/// How many situations of a healthy backend there are for each number of calls; they come first.
const CONTENDERS: usize = 7;
/// And then the one with `juju-log`.
const WITH_JUJU_LOG: usize = CONTENDERS * 2;

type Figure = fn(&Sample) -> f64;
const FIGURES: [(&str, Figure); 2] = [("wall", wall), ("cpu", cpu)];

const PEERS: [(Backend, [Charm; 2]); 2] = [
    (Backend::Http, [Charm::Usual, Charm::UsualTracing]),
    (Backend::Https, [Charm::UsualHttps, Charm::UsualTracingHttps]),
];

impl Hangs {
    /// How much longer these took than the untraced charm.
    fn held(&self, samples: &[Sample]) -> impl Iterator<Item = f64> {
        let untraced = Spread::of(figures(&self.untraced, wall)).median;
        figures(samples, wall).map(move |taken| taken - untraced)
    }

    /// How long a row of executions was held, in deadlines: the worst of them.
    fn in_deadlines(&self) -> f64 {
        let rows = self.rows.iter().map(|row| self.held(row).sum::<f64>());
        rows.fold(f64::NAN, f64::max) / DEADLINE
    }
}

impl Scaling {
    /// What one span adds, in milliseconds: to an execution without, and to the untraced charm.
    #[expect(clippy::cast_precision_loss, reason = "a number of spans")]
    fn per_span(&self, number: usize, calls: u64, figure: Figure) -> f64 {
        let grown = |all: &[Vec<Sample>; 3]| difference(&all[number], &all[0], figure).median;
        (grown(&self.ours) - grown(&self.untraced)) / calls as f64
    }

    /// How much more a span costs where there are very many than where there are many.
    fn growth(&self, figure: Figure) -> f64 {
        self.per_span(2, HUGE, figure) / self.per_span(1, MANY, figure)
    }

    /// What one span takes that waits for the end of the execution.
    #[expect(clippy::cast_precision_loss, reason = "a number of spans")]
    fn waiting_bytes(&self) -> f64 {
        let said = |sample: &Sample| sample.said.unwrap_or(f64::NAN);
        difference(&self.waiting[1], &self.waiting[0], said).median * 1024.0 / HUGE as f64
    }
}

fn name(situation: &Situation) -> String {
    match situation.charm {
        Charm::Untraced => "untraced".to_owned(),
        charm => {
            format!("{}, {}", charm.name().trim_end_matches("-https"), scheme(situation.backend))
        }
    }
}

fn scheme(backend: Backend) -> &'static str {
    if backend == Backend::Https { "https" } else { "http" }
}

/// What the charm finds, and whatever else is not as in most rows.
fn described(number: usize, situation: &Situation) -> String {
    let found = match (situation.backend, situation.before) {
        (Backend::Http, Before::Hundred) => "healthy, http, 100 executions to drain",
        (Backend::Http, _) => "healthy, http",
        (Backend::Https, _) => "healthy, https",
        (Backend::Refused, Before::BackingOff) => "refused, backing off",
        (Backend::Refused, _) => "refused",
        (Backend::Hanging, _) => "hanging",
        (Backend::Absent, Before::Hundred) => "no backend, full buffer",
        (Backend::Absent, _) => "no backend, empty buffer",
    };
    let mut text = found.to_owned();
    if situation.calls != FEW {
        let _ = write!(text, ", {} calls", situation.calls);
    }
    if number == WITH_JUJU_LOG {
        text += ", two `juju-log`";
    }
    if situation.charm != Charm::Ours {
        let _ = write!(text, " (for comparison: {})", situation.charm.name());
    }
    text
}

/// Seconds, in the unit that reads best.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        seconds if seconds < 1e-3 => (seconds * 1e6, "µs"),
        seconds if seconds < 1.0 => (seconds * 1e3, "ms"),
        seconds => (seconds, "s"),
    };
    let tenths = (value * 10.0).round() % 10.0;
    let decimals = usize::from(value < 10.0 && tenths > 0.0);
    format!("{value:.decimals$} {unit}")
}
