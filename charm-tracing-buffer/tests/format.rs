//! The format is what `frame.rs` says: a file with known content has known bytes, and those bytes
//! are read as that content, also by later versions. The Python library's file is read as what it
//! is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod disk;

use charm_tracing_buffer::{Buffer, Durability, EventKey, Options, Record};
use disk::Disk;

const GOLDEN: &[u8] = include_bytes!("fixtures/golden-v1.buffer");
const PYTHON: &[u8] = include_bytes!("fixtures/python-charm-tracing-buffer.raw");
const SEPARATOR: &[u8] = b"__CHARM_TRACING_BUFFER_SPAN_SEP__";

fn options() -> Options {
    Options { max_bytes: 64 << 10, durability: Durability::Process, ..Options::default() }
}

fn record(event: u8, bytes: &[u8]) -> Record {
    Record { event: EventKey([event; 16]), bytes: bytes.to_vec() }
}

fn golden_records() -> Vec<Record> {
    vec![record(1, b"one"), record(1, b""), record(2, &[0xee; 65])]
}

fn records(buffer: &mut Buffer<Disk>) -> Vec<Record> {
    buffer.iter().collect::<Result<_, _>>().unwrap()
}

/// Writes what the golden file holds.
fn write_golden() -> Vec<u8> {
    let disk = Disk::default();
    let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
    buffer
        .set_metadata(*b"sixty-four bytes of the caller's own, which live with the file. ")
        .unwrap();
    buffer.push(EventKey([9; 16]), b"gone").unwrap();
    for record in golden_records() {
        buffer.push(record.event, &record.bytes).unwrap();
    }
    let batch = buffer.peek(0).unwrap();
    buffer.acknowledge(&batch).unwrap();
    // The zeroes that a file grows by are no part of the format.
    let mut file = disk.file().unwrap();
    while file.ends_with(&[0; 64]) {
        file.truncate(file.len() - 64);
    }
    file
}

#[test]
fn the_golden_file_is_what_is_written() {
    let written = write_golden();
    if std::env::var_os("BUFFER_WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/golden-v1.buffer");
        std::fs::write(path, &written).unwrap();
    }
    let differs = written.iter().zip(GOLDEN).position(|(a, b)| a != b);
    assert_eq!(
        (written.len(), differs),
        (GOLDEN.len(), None),
        "length and first byte that differs"
    );
}

#[test]
fn the_golden_file_is_read_as_what_was_written() {
    let mut buffer = Buffer::open_in(Disk::with_file(GOLDEN), options()).unwrap();
    assert_eq!(records(&mut buffer), golden_records());
    assert_eq!(
        &buffer.metadata().unwrap(),
        b"sixty-four bytes of the caller's own, which live with the file. "
    );
    assert_eq!(buffer.recovery(), charm_tracing_buffer::Recovery::default());
}

/// The byte table of the specification, read without the crate's own code.
#[test]
fn the_golden_file_has_its_fields_where_the_specification_puts_them() {
    let u32_at = |at: usize| u32::from_le_bytes(GOLDEN[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(GOLDEN[at..at + 8].try_into().unwrap());
    // Six operations: the last one went to slot A, the one before to slot B.
    assert_eq!((&GOLDEN[0..8], u32_at(8), u64_at(16)), (&b"ctbuffer"[..], 1, 6));
    assert_eq!((&GOLDEN[4096..4104], u64_at(4096 + 16)), (&b"ctbuffer"[..], 5));
    let (head, tail, wrap) = (u64_at(32), u64_at(40), u64_at(48));
    assert_eq!((head, tail, wrap), (8192 + 128, 8192 + 128 + 128 + 64 + 192, 0));
    let (head_sequence, next_sequence, stored, events) =
        (u64_at(56), u64_at(64), u64_at(72), u64_at(80));
    assert_eq!((head_sequence, next_sequence, stored, events), (1, 4, 3, 2));
    assert_eq!((u64_at(88), u64_at(96)), (1, 2), "head event, last event");
    assert_eq!(GOLDEN[112..128], [2; 16], "last key");
    assert_eq!(
        &GOLDEN[128..192],
        b"sixty-four bytes of the caller's own, which live with the file. "
    );
    let frame = 8192 + 128;
    assert_eq!(
        (&GOLDEN[frame..frame + 4], u32_at(frame + 4), u32_at(frame + 8)),
        (&b"CTfr"[..], 1, 3)
    );
    assert_eq!(
        (u64_at(frame + 16), u64_at(frame + 24), u64_at(frame + 32)),
        (1, 1, 0),
        "sequence, event, oldest"
    );
    assert_eq!(GOLDEN[frame + 40..frame + 56], [1; 16], "key");
    assert_eq!(&GOLDEN[frame + 64..frame + 68], b"one\0");
    let sealed = |from: usize, offset: &[u8]| [&GOLDEN[from..from + 60], offset].concat();
    assert_eq!(u32_at(frame + 60), crc32(&sealed(frame, &(frame as u64).to_le_bytes())));
    assert_eq!(u32_at(frame + 12), crc32(b"one"));
    assert_eq!((u32_at(12), u32_at(252)), (crc32(&GOLDEN[..12]), crc32(&GOLDEN[..252])));
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

/// CRC-32/ISO-HDLC bit by bit, from its definition.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
        })
    })
}

fn split(file: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = file;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}

fn bytes_of(records: &[Record]) -> Vec<&[u8]> {
    records.iter().map(|record| &record.bytes[..]).collect()
}

#[test]
fn a_python_file_is_one_event_per_record_and_untouched_until_the_first_write() {
    let disk = Disk::with_file(PYTHON);
    let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
    let found = records(&mut buffer);
    assert_eq!(bytes_of(&found), split(PYTHON));
    assert_eq!(found.len(), 3);
    let len = buffer.len().unwrap();
    assert_eq!((len.events, len.records), (3, 3));
    assert_eq!(disk.file().unwrap(), PYTHON, "nothing was written");

    buffer.push(EventKey([1; 16]), b"new").unwrap();
    assert_ne!(disk.file().unwrap(), PYTHON);
    let mut expected = split(PYTHON);
    expected.push(b"new");
    assert_eq!(bytes_of(&records(&mut buffer)), expected);
    let len = buffer.len().unwrap();
    assert_eq!((len.events, len.records), (4, 4));
    assert_eq!(disk.journal(), None);
}

#[test]
fn a_python_file_can_be_drained_without_a_push() {
    for drained in 1..=3 {
        let disk = Disk::with_file(PYTHON);
        let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
        let batch = buffer.peek(usize::MAX).unwrap();
        buffer.acknowledge_first(&batch, drained).unwrap();
        let mut again = Buffer::open_in(disk.clone(), options()).unwrap();
        assert_eq!(bytes_of(&records(&mut again)), split(PYTHON)[drained..]);
        if drained == 3 {
            assert_eq!(disk.file().unwrap().len(), 8192);
        }
    }
}

#[test]
fn a_python_file_of_one_record_is_recognised_without_a_separator() {
    let one = split(PYTHON)[0];
    let mut buffer = Buffer::open_in(Disk::with_file(one), options()).unwrap();
    assert_eq!(bytes_of(&records(&mut buffer)), [one]);
    assert!(!buffer.recovery().moved_aside);
}

#[test]
fn an_empty_python_file_is_an_empty_buffer() {
    let disk = Disk::with_file(b"");
    let mut buffer = Buffer::open_in(disk, options()).unwrap();
    assert_eq!(records(&mut buffer), []);
    buffer.push(EventKey([1; 16]), b"new").unwrap();
    assert_eq!(bytes_of(&records(&mut buffer)), [b"new"]);
}

#[test]
fn a_python_file_of_any_size_up_to_the_cap_keeps_its_records() {
    let cap = 64 << 10;
    for (count, len) in
        [(1, 10), (7, 1), (80, 100), (2, 4000), (2, 4096), (3, 8192), (40, 1000), (9, 5000)]
    {
        let parts: Vec<Vec<u8>> =
            (0..count).map(|index| [&[index; 1][..], &vec![b'.'; len]].concat()).collect();
        let mut file = parts.join(SEPARATOR);
        if count == 1 {
            file.splice(..1, [0x0a, 10]);
        }
        let disk = Disk::with_file(&file);
        let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
        buffer.set_metadata([1; 64]).unwrap();
        let found = records(&mut buffer);
        let expected = split(&file);
        assert!(bytes_of(&found) == expected, "{count} records of {len} bytes");
        assert!(disk.largest() <= cap, "{} bytes", disk.largest());
        let batch = buffer.peek(usize::MAX).unwrap();
        buffer.acknowledge(&batch).unwrap();
        assert_eq!(disk.file().unwrap().len(), 8192);
    }
}

#[test]
fn a_python_file_at_the_cap_loses_only_what_the_header_needs() {
    for slack in [0, 1, 63, 64, 300, 8192, 16_000] {
        let parts: Vec<Vec<u8>> =
            (0..60).map(|index| vec![index; (65_536 - slack) / 60 - SEPARATOR.len()]).collect();
        let file = parts.join(SEPARATOR);
        let disk = Disk::with_file(&file);
        let mut buffer = Buffer::open_in(disk.clone(), options()).unwrap();
        buffer.set_metadata([1; 64]).unwrap();
        let found = records(&mut buffer);
        assert!(
            parts.iter().map(|part| &part[..]).collect::<Vec<_>>().ends_with(&bytes_of(&found))
        );
        assert!((60 - found.len()) * parts[0].len() <= 9000, "slack {slack}: {} kept", found.len());
        assert!(disk.largest() <= 64 << 10);
    }
}
