//! The machine stops, or an operation fails, at every operation of a workload in turn; what was
//! acknowledged is there afterwards, whatever became of what had not been synced.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test says what it did, and panics when it cannot go on; its numbers are small"
)]

mod disk;

use charm_tracing_buffer::{Buffer, Durability, Error, EventKey, Options, Record};
use disk::{Chance, Disk, Plan};

const SMALL: u64 = 64 << 10;

#[derive(Clone, Debug)]
enum Step {
    Push(u8, usize),
    Acknowledge(usize),
    SetMetadata(u8),
    Sync,
    Reopen(u64),
}

use Step::{Acknowledge, Push, Reopen, SetMetadata};

type Contents = Vec<Record>;

fn options(max_bytes: u64, durability: Durability) -> Options {
    Options { max_events: 12, max_bytes, durability, ..Options::default() }
}

fn payload(step: usize, len: usize) -> Vec<u8> {
    Chance(step as u64).bytes(len)
}

fn contents(buffer: &mut Buffer<Disk>) -> Contents {
    buffer.iter().collect::<Result<_, _>>().unwrap()
}

fn perform(
    disk: &Disk,
    buffer: &mut Option<Buffer<Disk>>,
    index: usize,
    step: &Step,
    durability: Durability,
) -> Result<(), Error> {
    if let Reopen(max_bytes) = step {
        *buffer = Some(Buffer::open_in(disk.clone(), options(*max_bytes, durability))?);
        return Ok(());
    }
    let buffer = buffer.as_mut().unwrap();
    match step {
        Push(key, len) => buffer.push(EventKey([*key; 16]), &payload(index, *len)).map(drop),
        Acknowledge(count) => {
            let batch = buffer.peek(usize::MAX)?;
            buffer.acknowledge_first(&batch, *count)
        }
        SetMetadata(byte) => buffer.set_metadata([*byte; 64]),
        Step::Sync => buffer.sync(),
        Reopen(_) => unreachable!(),
    }
}

/// A workload that fills, evicts, wraps, drains and shrinks.
fn workload() -> Vec<Step> {
    let mut steps = vec![
        Reopen(2 * SMALL),
        SetMetadata(1),
        Push(1, 100),
        Push(1, 3000),
        Push(2, 0),
        Acknowledge(1),
    ];
    for key in 3..20 {
        steps.push(Push(key, 2000 + usize::from(key) * 700));
        if key % 5 == 0 {
            steps.extend([Push(key, 9000), Acknowledge(2), SetMetadata(key)]);
        }
    }
    steps.extend([
        Reopen(SMALL),
        Push(20, 20_000),
        Push(21, 30_000),
        Push(22, 40_000),
        Push(22, 5000),
    ]);
    for key in 23..33 {
        steps.push(Push(key, 7000));
    }
    steps.extend([
        Reopen(2 * SMALL),
        Push(40, 50_000),
        Push(41, 30_000),
        Push(42, 30_000),
        Push(43, 20_000),
        Reopen(SMALL),
    ]);
    steps.extend([
        Acknowledge(usize::MAX),
        Push(50, 10),
        SetMetadata(3),
        Acknowledge(1),
        Push(51, 500),
    ]);
    steps
}

/// What the buffer may hold after each step, and the number of operations done until then.
struct Trace {
    steps: Vec<Step>,
    after: Vec<Contents>,
    metadata: Vec<u8>,
    operations: Vec<u64>,
}

fn trace(start: &Disk, steps: Vec<Step>, durability: Durability) -> Trace {
    let disk = start.after_kill();
    let (mut buffer, mut after, mut metadata, mut operations) =
        (None, Vec::new(), Vec::new(), Vec::new());
    for (index, step) in steps.iter().enumerate() {
        perform(&disk, &mut buffer, index, step, durability).unwrap();
        let buffer = buffer.as_mut().unwrap();
        operations.push(disk.operations());
        after.push(contents(buffer));
        metadata.push(buffer.metadata().unwrap()[0]);
        assert_eq!(buffer.recovery().lost_records, 0);
    }
    Trace { steps, after, metadata, operations }
}

/// Whether `found` is what an unfinished step may leave: what was before or after it, or between an
/// eviction and that for which it was made.
fn is_allowed(found: &Contents, before: &Contents, after: &Contents) -> bool {
    if found == before || found == after {
        return true;
    }
    let kept = before.iter().position(|record| after.contains(record)).unwrap_or(before.len());
    (0..=kept).any(|cut| {
        let whole_events = cut == 0
            || cut == before.len()
            || before[cut - 1].event != before[cut].event
            || after.len() < 2;
        // With or without the new record: its frame can be in the file although the slot that
        // evicts for it is not.
        let rest = &before[cut..];
        let new = found.len() == rest.len() + 1 && found.last() == after.last();
        whole_events && found.starts_with(rest) && (found.len() == rest.len() || new)
    })
}

/// What may be there after the step in which it stopped: what was before or what would have been
/// after.
struct Expected {
    before: Contents,
    after: Contents,
    metadata: [u8; 2],
}

impl Expected {
    fn of(trace: &Trace, start: &Contents, stopped: usize) -> Self {
        let earlier = stopped.checked_sub(1);
        Self {
            before: earlier.map_or(start, |step| &trace.after[step]).clone(),
            after: trace.after[stopped].clone(),
            metadata: [earlier.map_or(0, |step| trace.metadata[step]), trace.metadata[stopped]],
        }
    }

    fn require(&self, found: &Contents, what: &str) {
        let Self { before, after, .. } = self;
        assert!(
            is_allowed(found, before, after),
            "{what}: {:?} is neither {:?} nor {:?}",
            lengths(found),
            lengths(before),
            lengths(after)
        );
    }
}

fn require_recovered(image: &Disk, durability: Durability, expected: &Expected, what: &str) {
    let mut buffer = Buffer::open_in(image.clone(), options(2 * SMALL, durability))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = contents(&mut buffer);
    expected.require(&found, what);
    assert!(expected.metadata.contains(&buffer.metadata().unwrap()[0]), "{what}: metadata");
    assert!(buffer.recovery().lost_records <= 1, "{what}: {:?}", buffer.recovery());
    assert!(expected.metadata.contains(&buffer.metadata().unwrap()[0]), "{what}: metadata");
    let len = buffer.len().unwrap();
    assert_eq!(len.records as usize, found.len(), "{what}");
    buffer.push(EventKey([99; 16]), b"goes on").unwrap();
    let mut expected = found;
    expected.push(Record { event: EventKey([99; 16]), bytes: b"goes on".to_vec() });
    let now = contents(&mut buffer);
    assert!(expected.ends_with(&now), "{what}: after going on");
    assert!(
        expected.len() - now.len() <= 1 + expected.len().saturating_sub(12),
        "{what}: after going on"
    );
}

fn lengths(contents: &Contents) -> Vec<(u8, usize)> {
    contents.iter().map(|record| (record.event.0[0], record.bytes.len())).collect()
}

/// Stops the machine in each operation of the workload, and looks at what each of some losses
/// leaves. Says how many points and images that were.
fn crash_everywhere(start: &Disk, steps: Vec<Step>, durability: Durability) -> (u64, u64) {
    let start_contents =
        contents(&mut Buffer::open_in(start.after_kill(), options(2 * SMALL, durability)).unwrap());
    let trace = trace(start, steps, durability);
    let total = *trace.operations.last().unwrap();
    let mut images = 0;
    for point in 1..=total {
        let disk = start.after_kill();
        disk.plan(Plan::CrashAt(point));
        let mut buffer = None;
        let stopped = trace
            .steps
            .iter()
            .enumerate()
            .position(|(index, step)| {
                // An operation that does not matter for the outcome, like cutting an empty file,
                // may be the one.
                perform(&disk, &mut buffer, index, step, durability).is_err() || disk.has_stopped()
            })
            .unwrap();
        let expected = Expected::of(&trace, &start_contents, stopped);
        let mut chance = Chance(point);
        let mut check = |image: &Disk, loss: &str| {
            images += 1;
            let what =
                format!("crash in operation {point}, step {:?}, {loss}", trace.steps[stopped]);
            require_recovered(image, durability, &expected, &what);
        };
        check(&disk.after_kill(), "process killed");
        if durability == Durability::Sync {
            check(&disk.after_power_loss(|| false), "all unsynced lost");
            check(&disk.after_power_loss(|| true), "nothing lost");
            for sample in 0..6 {
                check(&disk.after_power_loss(|| chance.below(2) == 0), &format!("sample {sample}"));
            }
            check(&disk.after_power_loss(|| chance.below(8) != 0), "little lost");
            check(&disk.after_power_loss(|| chance.below(8) == 0), "much lost");
        }
    }
    (total, images)
}

#[test]
fn acknowledged_records_survive_a_crash_at_every_operation() {
    let (points, images) = crash_everywhere(&Disk::default(), workload(), Durability::Sync);
    println!("{points} crash points, {images} images");
    assert!(points > 200, "the workload has become too small: {points}");
}

#[test]
fn acknowledged_records_survive_a_kill_at_every_operation_without_sync() {
    let (points, images) = crash_everywhere(&Disk::default(), workload(), Durability::Process);
    println!("{points} crash points, {images} images");
    assert!(points > 100, "the workload has become too small: {points}");
}

/// Executions as charms have them, each with a handle of its own that syncs once, at its end, if at
/// all: some that wait, long ones that leave records as they go, some whose records are delivered
/// with those of others or alone; until the ring has been full and has wrapped.
fn workload_of_executions() -> Vec<Step> {
    let mut steps = vec![Reopen(SMALL), Push(1, 3000), SetMetadata(1), Step::Sync];
    for key in 10..60 {
        let len = 1000 + usize::from(key) * 150;
        steps.push(Reopen(SMALL));
        match key % 4 {
            0 => steps.extend([Push(key, len), Push(key, 900), Step::Sync]),
            1 => steps.extend([Push(key, 20), SetMetadata(key), Step::Sync]),
            2 => steps.extend([Push(key, len), Push(key, 50), Acknowledge(1), Push(key, 5000)]),
            _ => steps.extend([Acknowledge(1), Acknowledge(1), Step::Sync]),
        }
    }
    steps.extend([Acknowledge(usize::MAX), Push(80, 9000), Acknowledge(1), Push(81, 300)]);
    steps.extend([Step::Sync, Push(82, 300), SetMetadata(4)]);
    steps
}

/// Stops the machine in each operation, and requires what was there at the last sync and in each
/// state since.
fn lose_power_everywhere(start: &Disk, steps: Vec<Step>) -> (u64, u64) {
    let (mut images, mut survived) = (0, 0);
    let before = contents(
        &mut Buffer::open_in(start.after_kill(), options(SMALL, Durability::Process)).unwrap(),
    );
    let trace = trace(start, steps, Durability::Process);
    let states: Vec<&Contents> = std::iter::once(&before).chain(&trace.after).collect();
    for point in 1..=*trace.operations.last().unwrap() {
        let disk = start.after_kill();
        disk.plan(Plan::CrashAt(point));
        let (mut buffer, steps) = (None, trace.steps.iter().enumerate());
        let stopped = trace.operations.iter().position(|until| *until >= point).unwrap();
        for (index, step) in steps.take(stopped + 1) {
            let done = perform(&disk, &mut buffer, index, step, Durability::Process);
            assert!(done.is_ok() || disk.has_stopped(), "{done:?}");
        }
        let synced = trace.steps[..stopped].iter().rposition(|step| matches!(step, Step::Sync));
        let since = &states[synced.map_or(0, |step| step + 1)..stopped + 2];
        let mut required = since[0].clone();
        required.retain(|record| since.iter().all(|state| state.contains(record)));
        let mut chance = Chance(point);
        for odds in [0, 1, 2, 2, 2, 2, 8, 8] {
            let image = disk.after_power_loss(|| odds > 0 && chance.below(odds) == 0);
            let what = format!("point {point}, step {stopped}: {:?}, {odds}", trace.steps[stopped]);
            let mut buffer = Buffer::open_in(image, options(SMALL, Durability::Process)).unwrap();
            let found = contents(&mut buffer);
            let missing = required.iter().filter(|record| !found.contains(record)).count();
            assert_eq!(missing, 0, "{what}: {:?} of {:?}", lengths(&found), lengths(&required));
            // What was acknowledged may come again, but in its order and once.
            let pushed =
                |record| states[..stopped + 2].iter().position(|s| s.contains(record)).unwrap();
            let pushed = found.iter().map(pushed);
            assert!(pushed.is_sorted_by(|a, b| a < b || *a == 0 && *b == 0), "{what}");
            buffer.push(EventKey([99; 16]), b"goes on").unwrap();
            assert_eq!(contents(&mut buffer).last().unwrap().bytes, b"goes on");
            (images, survived) = (images + 1, survived + required.len() as u64);
        }
    }
    (images, survived)
}

#[test]
fn what_was_synced_survives_a_loss_of_power_among_what_was_not() {
    let (images, survived) = lose_power_everywhere(&Disk::default(), workload_of_executions());
    println!("{images} images, {survived} records required");
    assert!(images > 2000 && survived > 3 * images, "the workload has become too small");
    for (records, len) in [(9, 1000), (2, 20_000), (9, 5000)] {
        let file = Disk::with_file(&python_file(records, len));
        let (images, survived) = lose_power_everywhere(&file, workload_of_executions());
        println!("{records} records of {len} bytes: {images} images, {survived} records required");
        assert!(survived > 3 * images, "the workload has become too small");
    }
}

fn python_file(records: usize, len: usize) -> Vec<u8> {
    let records: Vec<Vec<u8>> = (0..records).map(|index| vec![b'a' + index as u8; len]).collect();
    records.join(&b"__CHARM_TRACING_BUFFER_SPAN_SEP__"[..])
}

#[test]
fn records_of_a_python_file_survive_a_crash_at_every_operation_of_its_import() {
    let steps = vec![
        Reopen(2 * SMALL),
        Push(1, 3000),
        Acknowledge(1),
        SetMetadata(1),
        Push(2, 30_000),
        Acknowledge(3),
        Push(3, 9000),
    ];
    let mut all = 0;
    for (records, len) in
        [(3, 100), (3, 5000), (9, 1000), (2, 50_000), (9, 12_000), (9, 14_000), (1, 1 << 16)]
    {
        let mut file = python_file(records, len);
        if records == 1 {
            // Only a message is believed to be a file of one record.
            file.splice(0..4, [0x0a, 0xfc, 0xff, 0x03]);
        }
        let (points, images) =
            crash_everywhere(&Disk::with_file(&file), steps.clone(), Durability::Sync);
        println!("{records} records of {len} bytes: {points} crash points, {images} images");
        all += points;
    }
    assert!(all > 60, "the workload has become too small: {all}");
}

#[test]
fn a_python_file_beyond_the_cap_is_moved_down_without_losing_more_than_the_cap_demands() {
    let steps = vec![Reopen(SMALL), Push(1, 300), Push(2, 300), Acknowledge(2)];
    for (records, len) in [(10, 7000), (4, 40_000), (11, 6000)] {
        let (points, images) = crash_everywhere(
            &Disk::with_file(&python_file(records, len)),
            steps.clone(),
            Durability::Sync,
        );
        println!("{records} records of {len} bytes: {points} crash points, {images} images");
        let disk = Disk::with_file(&python_file(records, len));
        let mut buffer = Buffer::open_in(disk.clone(), options(SMALL, Durability::Sync)).unwrap();
        buffer.push(EventKey([1; 16]), b"new").unwrap();
        let kept = contents(&mut buffer).len() - 1;
        let fitting = (SMALL as usize - 8192) / (len + 33);
        assert!(
            kept + 2 >= fitting.min(records),
            "{kept} of {records} records of {len} bytes kept"
        );
        assert!(disk.file().unwrap().len() as u64 <= SMALL);
        assert!(
            disk.largest() <= python_file(records, len).len() as u64,
            "it was never longer than it was found"
        );
    }
}

#[test]
fn a_journal_that_outlived_its_file_does_nothing_to_another() {
    let mut tried = 0;
    let file = python_file(3, 5000);
    for point in 1..20 {
        let disk = Disk::with_file(&file);
        disk.plan(Plan::CrashAt(point));
        let mut buffer = Buffer::open_in(disk.clone(), options(SMALL, Durability::Sync)).unwrap();
        let _ = buffer.push(EventKey([1; 16]), b"new");
        if disk.journal().is_none() {
            continue;
        }
        tried += 1;
        let other = python_file(4, 5000);
        let mut same_length = file.clone();
        same_length[77] ^= 1;
        for replaced in [other, same_length] {
            let disk = disk.with_replaced_file(&replaced);
            let mut buffer =
                Buffer::open_in(disk.clone(), options(SMALL, Durability::Sync)).unwrap();
            let found = contents(&mut buffer);
            let joined: Vec<_> = found.into_iter().map(|record| record.bytes).collect();
            assert!(
                joined.join(&b"__CHARM_TRACING_BUFFER_SPAN_SEP__"[..]) == replaced,
                "point {point}"
            );
            assert_eq!(disk.journal(), None, "point {point}");
        }
    }
    assert!(tried > 2, "a journal was left {tried} times only");
}

/// Lets each operation fail in turn, goes on, loses power, and requires everything that was
/// acknowledged.
fn fail_everywhere(start: &Disk, steps: &[Step]) -> u64 {
    let start_contents = contents(
        &mut Buffer::open_in(start.after_kill(), options(2 * SMALL, Durability::Sync)).unwrap(),
    );
    let trace = trace(start, steps.to_vec(), Durability::Sync);
    let total = *trace.operations.last().unwrap();
    for point in 1..=total {
        let disk = start.after_kill();
        disk.plan(Plan::FailAt(point));
        let mut buffer = None;
        let failed = trace.steps.iter().enumerate().position(|(index, step)| {
            perform(&disk, &mut buffer, index, step, Durability::Sync).is_err()
        });
        // Growth and the cut of an empty file are allowed to fail unnoticed.
        let Some(failed) = failed else { continue };
        let what = format!("failure of operation {point}, step {:?}", trace.steps[failed]);
        let expected = Expected::of(&trace, &start_contents, failed);
        require_recovered(
            &disk.after_kill(),
            Durability::Sync,
            &expected,
            &format!("{what}, killed"),
        );
        let mut chance = Chance(point);
        for _ in 0..4 {
            let image = disk.after_power_loss(|| chance.below(2) == 0);
            require_recovered(&image, Durability::Sync, &expected, &format!("{what}, power lost"));
        }
        // Going on with the same handle is safe: what is acknowledged now is durable.
        let Some(mut buffer) = buffer else { continue };
        let found = contents(&mut buffer);
        expected.require(&found, &what);
        for number in 0..3 {
            buffer
                .push(EventKey([77; 16]), &payload(number, 600))
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        let expected = contents(&mut buffer);
        assert_eq!(
            expected[expected.len() - 3..].iter().map(|record| record.bytes.len()).sum::<usize>(),
            1800,
            "{what}"
        );
        let image = disk.after_power_loss(|| false);
        let mut buffer = Buffer::open_in(image, options(2 * SMALL, Durability::Sync)).unwrap();
        assert_eq!(
            lengths(&contents(&mut buffer)),
            lengths(&expected),
            "{what}, power lost after going on"
        );
        assert_eq!(buffer.recovery().lost_records, 0, "{what}");
    }
    total
}

#[test]
fn a_failure_of_any_operation_leaves_what_was_there_and_a_buffer_to_go_on_with() {
    let total = fail_everywhere(&Disk::default(), &workload());
    println!("{total} operations failed");
    assert!(total > 200, "the workload has become too small: {total}");
}

#[test]
fn a_failure_of_any_operation_of_an_import_leaves_the_python_file_or_its_successor() {
    let steps = [Reopen(2 * SMALL), Push(1, 3000), Acknowledge(1), Push(2, 3000)];
    for (records, len) in [(3, 100), (9, 5000), (9, 14_000)] {
        let total = fail_everywhere(&Disk::with_file(&python_file(records, len)), &steps);
        assert!(total > 10, "the workload has become too small: {total}");
    }
}

#[test]
fn a_full_disk_leaves_what_was_stored_readable() {
    for limit in (0..54_000).step_by(411) {
        let disk = Disk::default();
        disk.plan(Plan::FullAt(limit));
        let Ok(mut buffer) = Buffer::open_in(disk.clone(), options(SMALL, Durability::Sync)) else {
            continue;
        };
        let mut stored = Vec::new();
        for number in 0..9 {
            if buffer.push(EventKey([number; 16]), &payload(usize::from(number), 5000)).is_ok() {
                stored.push((number, 5000));
            }
        }
        assert!(stored.len() < 9, "the disk was to be full at {limit}");
        assert_eq!(lengths(&contents(&mut buffer)), stored, "limit {limit}");
        let mut after =
            Buffer::open_in(disk.after_power_loss(|| false), options(SMALL, Durability::Sync))
                .unwrap();
        assert_eq!(lengths(&contents(&mut after)), stored, "limit {limit}, power lost");
        assert!(disk.largest() <= limit.max(8192));
    }
}
