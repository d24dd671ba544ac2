//! What a push, an open and a drain of `charm-tracing-buffer` cost, beside the same of its peers,
//! in one run.
//!
//! `push-…` is what a process does that lives for a second: open, push, close. `kept-open-push-…`
//! is the push alone, by a handle that stays open. In front of `push-empty` the queue exists and
//! was drained.
//!
//! Every contender keeps 6 KB records under the same cap and evicts the oldest when it is reached.
//! The contenders take turns, operation by operation, so that whatever else the machine does hits
//! them alike; a figure is the median. yaque never syncs, so it takes part without sync only;
//! `queue-file` and yaque keep bytes but know no events, no caps and no other processes, so their
//! callers are made to do the evicting.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark prints figures, and stops when something is wrong"
)]

mod report;

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use charm_tracing_buffer::{Buffer, Durability, EventKey, Options};
use queue_file::QueueFile;
use report::{Options as Asked, Progress, Report, Spread, Table};
use rusqlite::Connection;

const ABOUT: &str = "\
What a push, an open and a drain of charm-tracing-buffer cost, beside the same of its peers.
cargo bench -p charm-tracing-tests --bench buffer [-- OPTIONS]";

const RECORD: usize = 6 * 1024;
const MAX_BYTES: u64 = 10 << 20;
/// How many records fit into [`MAX_BYTES`] for contenders that do not count bytes.
const MAX_RECORDS: u64 = 1690;

/// What every contender can do.
trait Queue {
    /// Appends a record, and evicts the oldest if there are now more than `cap`.
    fn push(&mut self, record: &[u8], cap: u64);
    /// Reads the `count` oldest records and removes them.
    fn drain(&mut self, count: u64);
    fn len(&mut self) -> u64;
}

struct Ours {
    buffer: Buffer,
    next: u128,
}

impl Ours {
    fn open(path: &Path, sync: bool, cap: u64) -> Self {
        let durability = if sync { Durability::Sync } else { Durability::Process };
        let options =
            Options { max_events: cap, max_bytes: MAX_BYTES, durability, ..Options::default() };
        Self { buffer: Buffer::open(path, options).unwrap(), next: 0 }
    }
}

impl Queue for Ours {
    fn push(&mut self, record: &[u8], _: u64) {
        self.next += 1;
        self.buffer.push(EventKey(self.next.to_le_bytes()), record).unwrap();
    }

    fn drain(&mut self, count: u64) {
        let batch = self.buffer.peek(count as usize * RECORD).unwrap();
        black_box(batch.records());
        self.buffer.acknowledge(&batch).unwrap();
    }

    fn len(&mut self) -> u64 {
        self.buffer.len().unwrap().records
    }
}

struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    fn open(path: &Path, sync: bool, journal: &str) -> Self {
        let connection = Connection::open(path).unwrap();
        let synchronous = if sync { "FULL" } else { "OFF" };
        connection.pragma_update(None, "journal_mode", journal).unwrap();
        connection.pragma_update(None, "synchronous", synchronous).unwrap();
        connection
            .execute_batch("CREATE TABLE IF NOT EXISTS queue (id INTEGER PRIMARY KEY AUTOINCREMENT, event BLOB, bytes BLOB)")
            .unwrap();
        Self { connection }
    }
}

impl Queue for Sqlite {
    fn push(&mut self, record: &[u8], cap: u64) {
        let transaction = self.connection.transaction().unwrap();
        transaction
            .prepare_cached("INSERT INTO queue (event, bytes) VALUES (?1, ?2)")
            .unwrap()
            .execute((&[7_u8; 16], record))
            .unwrap();
        let newest = transaction.last_insert_rowid();
        transaction
            .prepare_cached("DELETE FROM queue WHERE id <= ?1")
            .unwrap()
            .execute([newest - cap.cast_signed()])
            .unwrap();
        transaction.commit().unwrap();
    }

    fn drain(&mut self, count: u64) {
        let mut last = 0_i64;
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, bytes FROM queue ORDER BY id LIMIT ?1")
            .unwrap();
        let mut rows = statement.query([count.cast_signed()]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            last = row.get(0).unwrap();
            black_box(row.get::<_, Vec<u8>>(1).unwrap());
        }
        drop(rows);
        drop(statement);
        self.connection
            .prepare_cached("DELETE FROM queue WHERE id <= ?1")
            .unwrap()
            .execute([last])
            .unwrap();
    }

    fn len(&mut self) -> u64 {
        self.connection
            .query_row("SELECT count(*) FROM queue", [], |row| row.get::<_, i64>(0))
            .unwrap()
            .unsigned_abs()
    }
}

struct File {
    queue: QueueFile,
}

impl File {
    fn open(path: &Path, sync: bool) -> Self {
        // With the smallest capacity it cannot open what it left when it was drained.
        let mut queue = QueueFile::with_capacity(path, 1 << 20).unwrap();
        queue.set_sync_writes(sync);
        Self { queue }
    }
}

impl Queue for File {
    fn push(&mut self, record: &[u8], cap: u64) {
        self.queue.add(record).unwrap();
        if self.queue.size() as u64 > cap {
            self.queue.remove().unwrap();
        }
    }

    fn drain(&mut self, count: u64) {
        for record in self.queue.iter().take(count as usize) {
            black_box(record);
        }
        self.queue.remove_n(count as usize).unwrap();
    }

    fn len(&mut self) -> u64 {
        self.queue.size() as u64
    }
}

struct Yaque {
    sender: yaque::Sender,
    receiver: yaque::Receiver,
    len: u64,
}

impl Yaque {
    /// It does not know how much it holds, so it is told.
    fn open(path: &Path, len: u64) -> Self {
        let (sender, receiver) = yaque::channel(path).unwrap();
        Self { sender, receiver, len }
    }
}

impl Queue for Yaque {
    fn push(&mut self, record: &[u8], cap: u64) {
        self.sender.try_send(record).unwrap();
        self.len += 1;
        if self.len > cap {
            self.drain(1);
        }
    }

    fn drain(&mut self, count: u64) {
        let batch = self.receiver.try_recv_batch(count as usize).unwrap();
        black_box(&*batch);
        batch.commit().unwrap();
        self.len -= count;
    }

    fn len(&mut self) -> u64 {
        self.len
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Contender {
    Ours,
    SqliteWal,
    SqliteRollback,
    QueueFile,
    Yaque,
}

impl Contender {
    const ALL: [Self; 5] =
        [Self::Ours, Self::SqliteWal, Self::SqliteRollback, Self::QueueFile, Self::Yaque];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "charm-tracing-buffer",
            Self::SqliteWal => "rusqlite-wal",
            Self::SqliteRollback => "rusqlite-rollback",
            Self::QueueFile => "queue-file",
            Self::Yaque => "yaque",
        }
    }

    /// Opens the contender's queue, which holds `len` records.
    fn open(self, directory: &Path, sync: bool, cap: u64, len: u64) -> Box<dyn Queue> {
        let path = directory.join(self.name());
        match self {
            Self::Ours => Box::new(Ours::open(&path, sync, cap)),
            Self::SqliteWal => Box::new(Sqlite::open(&path, sync, "WAL")),
            Self::SqliteRollback => Box::new(Sqlite::open(&path, sync, "DELETE")),
            Self::QueueFile => Box::new(File::open(&path, sync)),
            Self::Yaque => Box::new(Yaque::open(&path, len)),
        }
    }
}

/// One line of the table: what was done, and its cost in microseconds for each contender that can
/// do it.
struct Figures {
    what: String,
    costs: Vec<(Contender, f64)>,
}

impl Figures {
    fn of(&self, contender: Contender) -> Option<f64> {
        self.costs.iter().find(|(other, _)| *other == contender).map(|(_, cost)| *cost)
    }
}

struct Benchmark {
    directory: PathBuf,
    figures: Vec<Figures>,
}

impl Benchmark {
    fn directory(&self, name: &str) -> PathBuf {
        let directory = self.directory.join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    /// Times every scenario with every contender, all taking turns.
    fn run(&mut self, sync: bool, asked: Asked) {
        let record = record();
        let name = |scenario: &Scenario| {
            format!("{}-{}", scenario.what, if sync { "sync" } else { "nosync" })
        };
        let mut all: Vec<Vec<Run>> = SCENARIOS
            .iter()
            .map(|scenario| {
                let directory = self.directory(&name(scenario));
                Contender::ALL
                    .into_iter()
                    .filter(|contender| !sync || *contender != Contender::Yaque)
                    .map(|contender| Run::prepare(contender, &directory, sync, scenario, &record))
                    .collect()
            })
            .collect();
        let rounds = asked.rounds(3, if sync { ROUNDS } else { ROUNDS * 3 });
        let progress = Progress::new();
        progress.begin(if sync { "with sync" } else { "without sync" });
        for round in 0..rounds {
            progress.round(round, rounds);
            for (scenario, runs) in SCENARIOS.iter().zip(&mut all) {
                for run in runs.iter_mut().filter(|_| round % scenario.every == 0) {
                    run.once(scenario, &record);
                }
            }
        }
        for (scenario, runs) in SCENARIOS.iter().zip(all) {
            let costs = runs.into_iter().map(|run| (run.contender, median(&run.times))).collect();
            self.figures.push(Figures { what: name(scenario), costs });
        }
    }

    /// Times opening a queue that is full: the open itself and, for all alike, the question how
    /// many records there are.
    fn run_open(&mut self, rounds: usize) {
        let directory = self.directory("open");
        let record = record();
        let contenders = [
            Contender::Ours,
            Contender::SqliteWal,
            Contender::SqliteRollback,
            Contender::QueueFile,
        ];
        for contender in contenders {
            let mut queue = contender.open(&directory, false, MAX_RECORDS, 0);
            (0..MAX_RECORDS + 10).for_each(|_| queue.push(&record, MAX_RECORDS));
        }
        let mut costs = Vec::new();
        for contender in contenders {
            let begin = Instant::now();
            for _ in 0..rounds {
                black_box(contender.open(&directory, true, MAX_RECORDS, 0).len());
            }
            costs.push((contender, begin.elapsed().as_secs_f64() * 1e6 / rounds as f64));
        }
        self.figures.push(Figures { what: "open-full".into(), costs });
    }

    /// The processor time of opening a full buffer.
    fn open_cpu(&self, rounds: u32) -> f64 {
        let directory = self.directory.join("open");
        let begin = cpu_nanoseconds();
        for _ in 0..rounds {
            black_box(Contender::Ours.open(&directory, true, MAX_RECORDS, 0));
        }
        (cpu_nanoseconds() - begin) as f64 / 1e3 / f64::from(rounds)
    }

    fn report(&self) -> Report {
        let mut report = Report::new("buffer");
        let names = Contender::ALL.map(Contender::name);
        let mut table = Table::new([&["median, microseconds"], &names[..]].concat());
        for figures in &self.figures {
            let cost = |contender| figures.of(contender).map(|cost| format!("{cost:.1}"));
            let costs = Contender::ALL.map(|contender| cost(contender).unwrap_or("-".to_owned()));
            table.row(std::iter::once(figures.what.clone()).chain(costs));
        }
        report.table("One operation", &table);
        report.ratios(self.ratios().iter().map(|(name, ratio)| (name.as_str(), *ratio)));
        report
    }

    /// To each peer, and of a push into a full queue to one into an empty one.
    fn ratios(&self) -> Vec<(String, f64)> {
        let mut ratios = Vec::new();
        for figures in &self.figures {
            let ours = figures.of(Contender::Ours).unwrap();
            for (contender, cost) in &figures.costs {
                if *contender != Contender::Ours {
                    ratios.push((format!("{}/{}", figures.what, contender.name()), ours / cost));
                }
            }
        }
        for sync in ["sync", "nosync"] {
            let ours = |what: &str| {
                let what = format!("{what}-{sync}");
                let mut figures = self.figures.iter();
                figures.find(|figures| figures.what == what).unwrap().of(Contender::Ours).unwrap()
            };
            let name = format!("push-full-{sync}/push-empty-{sync}");
            ratios.push((name, ours("push-full") / ours("push-empty")));
        }
        ratios
    }
}

type Step = fn(&mut dyn Queue, &[u8], u64);

/// How often everything is done with sync; without, three times as often.
const ROUNDS: usize = 60;

/// What is timed.
struct Scenario {
    what: &'static str,
    handle: Handle,
    /// Records in the queue before.
    filled: u64,
    cap: u64,
    /// It takes part in each round whose number is a multiple of this.
    every: usize,
    work: Step,
    restore: Step,
}

#[derive(Clone, Copy, PartialEq)]
enum Handle {
    KeptOpen,
    /// Opened and closed each time, which is part of what is timed.
    OpenedAnew,
}

/// One contender in a scenario.
struct Run {
    contender: Contender,
    queue: Option<Box<dyn Queue>>,
    open: Box<dyn Fn() -> Box<dyn Queue>>,
    times: Vec<Duration>,
}

impl Run {
    fn prepare(
        contender: Contender,
        directory: &Path,
        sync: bool,
        scenario: &Scenario,
        record: &[u8],
    ) -> Self {
        let (filled, cap) = (scenario.filled, scenario.cap);
        // Filled without sync: only what is timed has to be durable.
        let mut queue = contender.open(directory, false, cap, 0);
        for _ in 0..filled {
            queue.push(record, cap);
        }
        drop(queue);
        let directory = directory.to_owned();
        let open = Box::new(move || contender.open(&directory, sync, cap, filled));
        let mut queue = open();
        assert!(queue.len() + 40 > filled, "{} is filled", contender.name());
        // The first push after a drain, not the first ever, is what matters.
        queue.push(record, cap);
        (scenario.restore)(&mut *queue, record, cap);
        let queue = (scenario.handle == Handle::KeptOpen).then_some(queue);
        Self { contender, queue, open, times: Vec::new() }
    }

    fn once(&mut self, scenario: &Scenario, record: &[u8]) {
        let begin = Instant::now();
        let mut queue = self.queue.take().unwrap_or_else(&self.open);
        (scenario.work)(&mut *queue, record, scenario.cap);
        if scenario.handle == Handle::OpenedAnew {
            drop(queue);
            self.times.push(begin.elapsed());
            queue = (self.open)();
        } else {
            self.times.push(begin.elapsed());
        }
        (scenario.restore)(&mut *queue, record, scenario.cap);
        self.queue = (scenario.handle == Handle::KeptOpen).then_some(queue);
    }
}

/// In microseconds.
fn median(times: &[Duration]) -> f64 {
    Spread::of(times.iter().map(Duration::as_secs_f64)).median * 1e6
}

const fn pushing(
    what: &'static str,
    handle: Handle,
    filled: u64,
    cap: u64,
    restore: Step,
) -> Scenario {
    Scenario { what, handle, filled, cap, every: 1, work: push, restore }
}

const SCENARIOS: [Scenario; 7] = [
    pushing("push-empty", Handle::OpenedAnew, 0, MAX_RECORDS, drain_one),
    pushing("push-100-events", Handle::OpenedAnew, 100, 100, leave),
    pushing("push-full", Handle::OpenedAnew, MAX_RECORDS, MAX_RECORDS, leave),
    pushing("kept-open-push-empty", Handle::KeptOpen, 0, MAX_RECORDS, drain_one),
    pushing("kept-open-push-100-events", Handle::KeptOpen, 100, 100, leave),
    pushing("kept-open-push-full", Handle::KeptOpen, MAX_RECORDS, MAX_RECORDS, leave),
    Scenario {
        what: "drain-100",
        handle: Handle::KeptOpen,
        filled: 100,
        cap: MAX_RECORDS,
        every: 12,
        work: drain_hundred,
        restore: push_hundred,
    },
];

fn push(queue: &mut dyn Queue, record: &[u8], cap: u64) {
    queue.push(record, cap);
}

fn drain_one(queue: &mut dyn Queue, _: &[u8], _: u64) {
    queue.drain(1);
}

fn drain_hundred(queue: &mut dyn Queue, _: &[u8], _: u64) {
    queue.drain(100);
}

fn push_hundred(queue: &mut dyn Queue, record: &[u8], cap: u64) {
    (0..100).for_each(|_| queue.push(record, cap));
}

fn leave(_: &mut dyn Queue, _: &[u8], _: u64) {}

/// Bytes that do not compress, as little as those of a trace do.
fn record() -> Vec<u8> {
    let mut state = 1_u32;
    (0..RECORD)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// What this thread has used of a processor; it is the only one that works.
fn cpu_nanoseconds() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn main() -> ExitCode {
    report::benchmark(ABOUT, run)
}

fn run(asked: Asked) -> io::Result<()> {
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("buffer-bench-{}", std::process::id()));
    let mut benchmark = Benchmark { directory, figures: Vec::new() };
    for sync in [true, false] {
        benchmark.run(sync, asked);
    }
    benchmark.run_open(asked.rounds(10, 100));
    let mut report = benchmark.report();
    let open = benchmark.open_cpu(500);
    report.note(&format!("Open of a full buffer: {open:.1} microseconds of processor time."));
    fs::remove_dir_all(&benchmark.directory)?;
    report.publish(asked, None)
}
