//! Opening any content whatever: it does not fail, panic, loop or take more space, and afterwards
//! the buffer works. The fuzz target shares it.

use charm_tracing_buffer::{Buffer, Durability, EventKey, Options, Reason, Record};

use crate::disk::Disk;

const CAP: u64 = 64 << 10;
const SLOT: usize = 256;
const RING: usize = 8192;

/// Opens what a script describes. Its first byte says how the rest is to be read: as the file
/// itself, or as slot A, slot B and the ring, without what lies between them, with or without right
/// checksums.
pub(crate) fn open_described(script: &[u8]) {
    let Some((kind, rest)) = script.split_first() else {
        return;
    };
    match kind % 4 {
        0 => open_any(rest),
        1 => open_any(&laid_out(rest)),
        _ => {
            let mut file = laid_out(rest);
            seal(&mut file);
            open_any(&file);
        }
    }
}

fn laid_out(rest: &[u8]) -> Vec<u8> {
    let mut file = vec![0; RING];
    let mut parts = rest.chunks(SLOT);
    for at in [0, 4096] {
        let slot = parts.next().unwrap_or_default();
        file[at..at + slot.len()].copy_from_slice(slot);
    }
    file.extend(rest.iter().skip(2 * SLOT));
    file
}

/// Makes all checksums right, so that what they protect is looked at, however wrong it is.
fn seal(file: &mut [u8]) {
    for slot in [0, 4096] {
        file[slot..slot + 12].copy_from_slice(b"ctbuffer\x01\0\0\0");
        put_checksum(file, slot, slot + 12, &[]);
        put_checksum(file, slot, slot + SLOT - 4, &[]);
    }
    let mut at = RING;
    while at + 64 <= file.len() {
        if &file[at..at + 4] == b"CTfr" {
            let len = u32::from_le_bytes([file[at + 8], file[at + 9], file[at + 10], file[at + 11]])
                as usize;
            if let Some(payload) = file.get(at + 64..).and_then(|payload| payload.get(..len)) {
                let sum = crc32fast::hash(payload).to_le_bytes();
                file[at + 12..at + 16].copy_from_slice(&sum);
            }
            put_checksum(file, at, at + 60, &(at as u64).to_le_bytes());
        }
        at += 64;
    }
}

fn put_checksum(file: &mut [u8], from: usize, at: usize, more: &[u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&file[from..at]);
    hasher.update(more);
    let sum = hasher.finalize().to_le_bytes();
    file[at..at + 4].copy_from_slice(&sum);
}

fn open_any(content: &[u8]) {
    let disk = Disk::with_file(content);
    let options = Options { max_bytes: CAP, durability: Durability::Process, ..Options::default() };
    let mut buffer = match Buffer::open_in(disk.clone(), options) {
        Ok(buffer) => buffer,
        Err(error) => {
            assert!(matches!(error.reason(), Reason::NewerVersion(_)), "{error}");
            assert_eq!(disk.file().as_deref(), Some(content));
            return;
        }
    };
    let records = contents(&mut buffer);
    assert!(records.len() <= content.len());
    assert!(records.iter().map(|record| record.bytes.len()).sum::<usize>() <= content.len());
    // What was found once is found again.
    assert!(contents(&mut Buffer::open_in(disk.clone(), options).unwrap()) == records);
    buffer.push(EventKey([0xaa; 16]), b"goes on").unwrap();
    let file = disk.file().unwrap();
    assert!(file.len() as u64 <= CAP, "{} bytes", file.len());
    assert!(
        disk.largest() <= CAP.max(content.len() as u64),
        "{} bytes at some time",
        disk.largest()
    );
    // Draining ends.
    for round in 0.. {
        let batch = buffer.peek(1 << 14).unwrap();
        if batch.is_empty() {
            break;
        }
        assert!(round <= content.len());
        buffer.acknowledge(&batch).unwrap();
    }
    assert_eq!(disk.file().unwrap().len(), RING);
}

fn contents(buffer: &mut Buffer<Disk>) -> Vec<Record> {
    buffer.iter().collect::<Result<_, _>>().unwrap()
}
