//! No operation takes more memory than twice the largest record and 64 KiB, apart from what the
//! caller peeks.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says what it measured, and panics when it cannot go on"
)]

use std::fs;
use std::path::Path;

use charm_tracing_buffer::{Buffer, Durability, EventKey, Options};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const PYTHON: &[u8] = include_bytes!("fixtures/python-charm-tracing-buffer.raw");

fn options(max_bytes: u64) -> Options {
    Options { max_bytes, durability: Durability::Process, ..Options::default() }
}

/// Runs `work` and requires that it needed no more than is allowed for records of `largest` bytes.
fn measure<T>(what: &str, largest: usize, work: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    let needed = MEMORY.peak_usage() - before;
    println!("{what}: {needed} bytes for records of {largest}");
    assert!(needed <= 2 * largest + (64 << 10), "{what}: {needed} bytes for records of {largest}");
    result
}

fn push_all(path: &Path, largest: usize) {
    let bytes = vec![0xab; largest];
    let mut buffer = measure("open", largest, || Buffer::open(path, options(10 << 20)).unwrap());
    for number in 0..150_u8 {
        measure("push", largest, || buffer.push(EventKey([number; 16]), &bytes).unwrap());
    }
}

// One test, because the measure is of the whole process.
#[test]
fn memory_is_bounded_by_the_largest_record() {
    let directory = std::env::temp_dir().join(format!("buffer-memory-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    for largest in [10, 6000, 48 << 10, 300_000, 6 << 20] {
        let path = directory.join(format!("queue-{largest}"));
        push_all(&path, largest);
        let mut buffer = Buffer::open(&path, options(10 << 20)).unwrap();
        measure("iterate", largest, || {
            buffer.iter().for_each(|record| drop(record.unwrap()));
        });
        // Damage in the middle of the oldest record, then a smaller cap, then the end of the
        // header.
        let mut file = fs::read(&path).unwrap();
        let middle = file.len() / 2;
        file[middle] ^= 1;
        fs::write(&path, &file).unwrap();
        measure("repair", largest, || {
            buffer.iter().for_each(|record| drop(record.unwrap()));
        });
        measure("shrink", largest, || Buffer::open(&path, options(7 << 20)).unwrap());
        let mut file = fs::read(&path).unwrap();
        file[..8192].fill(0);
        fs::write(&path, &file).unwrap();
        drop(file);
        let mut buffer =
            measure("rebuild", largest, || Buffer::open(&path, options(7 << 20)).unwrap());
        let batch = buffer.peek(usize::MAX).unwrap();
        measure("acknowledge", largest, || {
            buffer.acknowledge(&batch).unwrap();
        });
    }
    let path = directory.join("python");
    fs::write(&path, PYTHON).unwrap();
    let mut buffer =
        measure("open a Python file", 5723, || Buffer::open(&path, options(10 << 20)).unwrap());
    measure("import", 5723, || buffer.push(EventKey([1; 16]), b"new").unwrap());
    let large = PYTHON.repeat(500).repeat(2);
    fs::write(&path, &large).unwrap();
    drop(large);
    let many = Options { max_events: 100_000, ..options(10 << 20) };
    let mut buffer =
        measure("open a large Python file", 5723, || Buffer::open(&path, many).unwrap());
    measure("import", 2 * 5723, || buffer.push(EventKey([1; 16]), b"new").unwrap());
    assert!(fs::metadata(&path).unwrap().len() <= 10 << 20);
    fs::remove_dir_all(directory).unwrap();
}
