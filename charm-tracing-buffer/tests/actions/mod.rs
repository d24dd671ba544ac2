//! A script of bytes, performed on a buffer and on its model, a capped list. The fuzz target shares
//! it.

use std::collections::VecDeque;

use charm_tracing_buffer::{Buffer, Durability, EventKey, Options, Record};

use crate::disk::Disk;

const CAPS: [(u64, u64); 4] = [(100, 64 << 10), (3, 64 << 10), (1, 80 << 10), (7, 100_000)];

/// The model: what was pushed and has neither gone nor been acknowledged.
#[derive(Default)]
struct Model {
    records: VecDeque<Record>,
    metadata: u8,
}

impl Model {
    fn events(&self) -> u64 {
        let mut events: Vec<_> = self.records.iter().map(|record| record.event).collect();
        events.dedup();
        events.len() as u64
    }

    /// Takes off the front what the buffer says it evicted, and requires that this was necessary
    /// and whole.
    fn evict(&mut self, events: u64, records: u64, max_events: u64, what: &str) {
        let before = self.events();
        let evicted: Vec<_> = self.records.drain(..records as usize).collect();
        assert_eq!(before - self.events(), events, "{what}: events evicted");
        assert!(before <= max_events || self.events() == max_events || records > 0, "{what}");
        if let (Some(last), Some(next)) = (evicted.last(), self.records.front()) {
            assert!(
                last.event != next.event || self.events() == 1,
                "{what}: half an event was evicted"
            );
        }
    }
}

/// Performs a script: an action and two numbers at a time.
pub(crate) fn run(script: &[u8], what: &str) {
    let disk = Disk::default();
    let mut caps = CAPS[0];
    let options = |(max_events, max_bytes)| Options {
        max_events,
        max_bytes,
        durability: Durability::Process,
        ..Options::default()
    };
    let mut buffer = Buffer::open_in(disk.clone(), options(caps)).unwrap();
    let mut model = Model::default();
    for (number, action) in script.chunks_exact(3).enumerate() {
        let &[action, a, b] = action else { unreachable!() };
        let what = format!("{what}, action {number}: {action} {a} {b}");
        match action % 8 {
            0..=3 => push(&mut buffer, &mut model, a, b, caps, &what),
            4 => {
                let batch = buffer.peek(usize::from(a) * 200).unwrap();
                require_batch(batch.records(), &model, usize::from(a) * 200, &what);
                let count = usize::from(b) % (batch.len() + 2);
                buffer.acknowledge_first(&batch, count).unwrap();
                model.records.drain(..count.min(batch.len()));
            }
            5 => {
                buffer.set_metadata([b; 64]).unwrap();
                model.metadata = b;
            }
            6 => {
                // Another handle, with the same caps or others.
                if a < 60 {
                    caps = CAPS[usize::from(b) % CAPS.len()];
                }
                buffer = Buffer::open_in(disk.clone(), options(caps)).unwrap();
                let recovery = buffer.recovery();
                assert_eq!(recovery.lost_records, 0, "{what}");
                model.evict(recovery.evicted_events, recovery.evicted_records, caps.0, &what);
            }
            _ => {
                let records: VecDeque<_> = buffer.iter().collect::<Result<_, _>>().unwrap();
                assert_eq!(records, model.records, "{what}");
            }
        }
        let len = buffer.len().unwrap();
        assert_eq!(
            (len.events, len.records),
            (model.events(), model.records.len() as u64),
            "{what}"
        );
        assert_eq!(buffer.metadata().unwrap(), [model.metadata; 64], "{what}");
        assert!(len.events <= caps.0, "{what}: too many events");
        assert!(buffer.bytes().unwrap() <= caps.1, "{what}: too many bytes");
        if len.records == 0 {
            assert!(matches!(buffer.bytes().unwrap(), 0 | 8192), "{what}: empty but not short");
        }
    }
    let records: VecDeque<_> = buffer.iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(records, model.records, "{what}: at the end");
    assert!(disk.largest() <= 100_000, "{what}: {} bytes", disk.largest());
}

fn push(buffer: &mut Buffer<Disk>, model: &mut Model, a: u8, b: u8, caps: (u64, u64), what: &str) {
    let len = match a % 16 {
        0 => usize::from(b) * 400,
        1..=4 => usize::from(b) * 40,
        5..=8 => usize::from(b),
        _ => 6000,
    };
    let record = Record { event: EventKey([b % 8; 16]), bytes: vec![a ^ b; len] };
    let fits = len as u64 <= caps.1 / 64 * 64 - 8192 - 64;
    match buffer.push(record.event, &record.bytes) {
        Ok(pushed) => {
            assert!(fits, "{what}: cannot have been stored");
            let begins = model.records.back().is_none_or(|last| last.event != record.event);
            model.records.push_back(record);
            if pushed.evicted_records as usize == model.records.len() - 1 && !begins {
                // The event alone was too large: nothing of its earlier part is left.
                model.records.drain(..pushed.evicted_records as usize);
            } else {
                model.evict(pushed.evicted_events, pushed.evicted_records, caps.0, what);
            }
        }
        Err(error) => assert!(!fits, "{what}: {error}"),
    }
}

fn require_batch(batch: &[Record], model: &Model, budget: usize, what: &str) {
    let mut left = budget;
    let expected = model
        .records
        .iter()
        .enumerate()
        .take_while(|(index, record)| {
            let fits = record.bytes.len() <= left || *index == 0;
            left = left.saturating_sub(record.bytes.len());
            fits
        })
        .count();
    assert!(
        batch.iter().eq(model.records.iter().take(expected)),
        "{what}: {} records, not {expected}",
        batch.len()
    );
}
