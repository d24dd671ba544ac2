//! Every truncation and every flipped bit of small files, zeroed pages, and made-up content:
//! opening never fails, what is intact comes out in order, what was lost is counted, and the buffer
//! works on.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test says what it did, and panics when it cannot go on; its numbers are small"
)]

mod disk;
mod opening;

use charm_tracing_buffer::{Buffer, Durability, EventKey, Options, Reason, Record};
use disk::{Chance, Disk};

const HEADER: usize = 8192;

fn options() -> Options {
    Options { max_bytes: 64 << 10, durability: Durability::Process, ..Options::default() }
}

fn record(number: u8, len: usize) -> Record {
    Record { event: EventKey([number / 2; 16]), bytes: Chance(u64::from(number)).bytes(len) }
}

/// Some records, two to an event, as a file without the zeroes that it has grown by.
fn small_file(lengths: &[usize]) -> (Vec<u8>, Vec<Record>) {
    let disk = Disk::default();
    let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
    let records: Vec<_> = (0..).zip(lengths).map(|(number, len)| record(number, *len)).collect();
    for record in &records {
        buffer.push(record.event, &record.bytes).unwrap();
    }
    let mut file = disk.file().unwrap();
    while file.ends_with(&[0; 64]) {
        file.truncate(file.len() - 64);
    }
    (file, records)
}

/// A file whose ring has wrapped around its end.
fn wrapped_file() -> (Vec<u8>, Vec<Record>) {
    let disk = Disk::default();
    let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
    for number in 0..12 {
        let record = record(number, 9000);
        buffer.push(record.event, &record.bytes).unwrap();
    }
    let records = buffer.iter().collect::<Result<Vec<_>, _>>().unwrap();
    (disk.file().unwrap(), records)
}

struct Survived {
    records: Vec<Record>,
    lost: u64,
    events_lost: u64,
}

/// Opens damaged content, reads it, and requires that the buffer works on.
fn survive(content: &[u8], what: &str) -> Survived {
    let disk = Disk::with_file(content);
    let mut buffer =
        Buffer::open_in(disk.clone(), options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let records = buffer
        .iter()
        .collect::<Result<Vec<_>, _>>()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let recovery = buffer.recovery();
    let len = buffer.len().unwrap();
    assert_eq!(len.records, records.len() as u64, "{what}");
    let mut events: Vec<_> = records.iter().map(|record| record.event).collect();
    events.dedup();
    assert_eq!(len.events, events.len() as u64, "{what}");

    let new = record(200, 700);
    let pushed =
        buffer.push(new.event, &new.bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut expected = records[pushed.evicted_records as usize..].to_vec();
    expected.push(new);
    // Another handle sees the same; nothing is found amiss a second time.
    let mut again = Buffer::open_in(disk.clone(), options()).unwrap();
    let batch = again.peek(usize::MAX).unwrap();
    assert!(batch.records() == expected, "{what}: after going on");
    assert_eq!(again.recovery().lost_records, 0, "{what}: found amiss again");
    again.acknowledge(&batch).unwrap();
    assert_eq!(disk.file().unwrap().len(), HEADER, "{what}: empty");
    Survived { records, lost: recovery.lost_records, events_lost: recovery.lost_events }
}

fn is_subsequence(part: &[Record], whole: &[Record]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|record| rest.any(|other| other == record))
}

#[test]
fn every_truncation_keeps_the_records_before_it() {
    let (file, records) = small_file(&[100, 0, 64, 300, 1]);
    for len in 0..file.len() {
        let survived = survive(&file[..len], &format!("cut to {len}"));
        // Frames are 64 bytes and the payload, rounded up to 64.
        let mut end = HEADER;
        let kept = records
            .iter()
            .take_while(|record| {
                end += (64 + record.bytes.len()).next_multiple_of(64);
                end <= len
            })
            .count();
        assert!(survived.records == records[..kept], "cut to {len}");
        // Up to there the newest slot, the second one, is cut off too.
        if len >= 4352 {
            assert_eq!(survived.lost, (records.len() - kept) as u64, "cut to {len}");
            assert_eq!(survived.events_lost, 3 - kept.div_ceil(2) as u64, "cut to {len}");
        }
    }
    println!("{} truncated files", file.len());
}

#[test]
fn every_flipped_bit_costs_at_most_the_record_it_is_in() {
    let (file, records) = small_file(&[100, 0, 64, 300, 1]);
    let mut tried = 0;
    let header_bytes = (0..256).chain(4096..4352);
    for at in header_bytes.chain(HEADER..file.len()) {
        for bit in 0..8 {
            let what = format!("bit {bit} of byte {at}");
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            let survived = survive(&damaged, &what);
            tried += 1;
            assert!(is_subsequence(&survived.records, &records), "{what}");
            assert_eq!(survived.records.len() as u64 + survived.lost, 5, "{what}");
            assert!(survived.lost <= u64::from(at >= HEADER), "{what}: {} lost", survived.lost);
        }
    }
    println!("{tried} files with a flipped bit");
}

#[test]
fn every_zeroed_page_costs_at_most_the_records_it_touches() {
    let mut tried = 0;
    for (file, records) in [small_file(&[3000, 5000, 10, 9000, 100, 100, 20_000]), wrapped_file()] {
        for from in (0..file.len()).step_by(4096) {
            let mut damaged = file.clone();
            let to = file.len().min(from + 4096);
            damaged[from..to].fill(0);
            let survived = survive(&damaged, &format!("zeroed from {from}"));
            tried += 1;
            assert!(is_subsequence(&survived.records, &records), "zeroed from {from}");
            assert_eq!(
                survived.records.len() as u64 + survived.lost,
                records.len() as u64,
                "zeroed from {from}"
            );
            if from < HEADER {
                assert_eq!(survived.lost, 0);
            }
        }
    }
    println!("{tried} files with a zeroed page");
}

#[test]
fn a_wrapped_ring_survives_truncation_and_the_loss_of_its_header() {
    let (file, records) = wrapped_file();
    for len in (0..file.len()).step_by(173) {
        let survived = survive(&file[..len], &format!("cut to {len}"));
        assert!(is_subsequence(&survived.records, &records), "cut to {len}");
        if len >= HEADER {
            assert_eq!(
                survived.records.len() as u64 + survived.lost,
                records.len() as u64,
                "cut to {len}"
            );
        }
    }
    let mut headless = file;
    headless[..HEADER].fill(0);
    let survived = survive(&headless, "no header");
    assert!(survived.records == records);
}

#[test]
fn several_damages_at_once_leave_the_rest() {
    let (file, records) = small_file(&[700; 40]);
    for seed in 0..400 {
        let mut chance = Chance(seed);
        let mut damaged = file.clone();
        for _ in 0..=chance.below(6) {
            let from = chance.below(file.len() as u64) as usize;
            let to = file.len().min(from + chance.below(2000) as usize);
            match chance.below(3) {
                0 => damaged[from..to].fill(0),
                1 => {
                    let noise = chance.bytes(to - from);
                    damaged[from..to].copy_from_slice(&noise);
                }
                // A piece of the file at a wrong place.
                _ => {
                    let source = chance.below((file.len() - (to - from)) as u64) as usize;
                    damaged[from..to].copy_from_slice(&file[source..source + (to - from)]);
                }
            }
        }
        let survived = survive(&damaged, &format!("seed {seed}"));
        assert!(is_subsequence(&survived.records, &records), "seed {seed}");
    }
}

#[test]
fn a_payload_that_looks_like_a_buffer_is_not_taken_for_one() {
    let (inner, _) = small_file(&[100, 100, 100]);
    let disk = Disk::default();
    let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
    buffer.push(EventKey([1; 16]), &inner).unwrap();
    buffer.push(EventKey([2; 16]), b"after").unwrap();
    let mut file = disk.file().unwrap();
    // The outer frame's own header goes, so that the search begins inside of its payload.
    file[HEADER + 20] ^= 1;
    let survived = survive(&file, "a buffer in a buffer");
    assert_eq!(survived.records, [Record { event: EventKey([2; 16]), bytes: b"after".to_vec() }]);
    assert_eq!((survived.lost, survived.events_lost), (1, 1));
}

#[test]
fn a_strangers_file_is_moved_aside_whole() {
    let strangers: [&[u8]; 4] = [
        b"#!/bin/sh\nrm -rf buffer\n",
        &[0xff; 9000],
        b"\x0a\x09trunc",
        &[b"x".as_slice(), &vec![0; 70_000]].concat(),
    ];
    for content in strangers {
        let disk = Disk::with_file(content);
        let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
        assert!(buffer.recovery().moved_aside);
        assert_eq!(disk.aside().unwrap(), content);
        buffer.push(EventKey([1; 16]), b"ours").unwrap();
        assert_eq!(buffer.peek(100).unwrap().records()[0].bytes, b"ours");
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let (mut file, _) = small_file(&[100]);
    file[8] = 2;
    let checksum = crc32(&file[..12]);
    file[12..16].copy_from_slice(&checksum.to_le_bytes());
    let disk = Disk::with_file(&file);
    let error = Buffer::open_in(disk.clone(), options()).unwrap_err();
    assert!(matches!(error.reason(), Reason::NewerVersion(2)), "{error}");
    assert_eq!(disk.file().unwrap(), file);
}

/// Written here once more, bit by bit, so that the tests do not rest on the crate that they test.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
        })
    })
}

#[test]
fn made_up_slots_with_right_checksums_neither_panic_nor_loop() {
    let (file, _) = small_file(&[100, 0, 64, 300, 1]);
    let mut chance = Chance(4);
    for round in 0..3000 {
        let mut made_up = file.clone();
        let slot = if round % 2 == 0 { 0 } else { 4096 };
        for _ in 0..=chance.below(4) {
            let field = slot + 16 + chance.below(29) as usize * 8;
            let value = match chance.below(5) {
                0 => 0,
                1 => u64::MAX,
                2 => chance.below(20),
                3 => HEADER as u64 + 64 * chance.below(100),
                _ => chance.next() >> chance.below(64),
            };
            made_up[field..field + 8].copy_from_slice(&value.to_le_bytes());
        }
        // The highest generation, so that it counts.
        made_up[slot + 16..slot + 24].copy_from_slice(&1000_u64.to_le_bytes());
        let checksum = crc32(&made_up[slot..slot + 252]);
        made_up[slot + 252..slot + 256].copy_from_slice(&checksum.to_le_bytes());
        let disk = Disk::with_file(&made_up);
        let mut buffer = Buffer::open_in(disk, options()).unwrap();
        let records = buffer.iter().collect::<Result<Vec<_>, _>>().unwrap();
        assert!(records.len() < 2000);
        buffer.push(EventKey([9; 16]), b"goes on").unwrap();
        assert!(buffer.iter().all(|record| record.is_ok()), "round {round}");
    }
}

#[test]
fn past_findings_of_the_fuzzer_stay_found() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/open");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        opening::open_described(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "{corpus} is empty");
}

/// Whole files and their parts, from which the fuzzer starts and which it is replayed on.
#[test]
fn files_of_every_kind_open() {
    let python = include_bytes!("fixtures/python-charm-tracing-buffer.raw");
    let (small, _) = small_file(&[100, 0, 64, 300, 1]);
    let (wrapped, _) = wrapped_file();
    for file in [&small[..], &wrapped, python, b""] {
        opening::open_described(&[&[0], file].concat());
        if file.len() > HEADER {
            let parts = [&file[..256], &file[4096..4352], &file[HEADER..]].concat();
            opening::open_described(&[&[1], &parts[..]].concat());
            opening::open_described(&[&[2], &parts[..]].concat());
        }
    }
}
