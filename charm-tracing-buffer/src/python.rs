//! Buffers of the Python library: reading them, and taking them over without copying them.
//!
//! Such a file is nothing but records, joined by [`SEPARATOR`]. It is told from a stranger's by a
//! separator in it or, if it has one record only, by being a protobuf message of nothing but field
//! 1, as every serialized `ExportTraceServiceRequest` is. Its records are older than any that this
//! crate writes, and each is an event.
//!
//! The first write takes the file over *in place*. Only the header has to come into being; the
//! records stay where they are, named in the header as up to two extents, and are consumed from
//! there like frames. Copying them into a new file would need twice the space, which the cap does
//! not allow.
//!
//! 1. Usually the first 8192 bytes are records. They go, with the future slot, into a journal
//!    (`<name>.import-journal`), which is synced; then to the end of the file, synced; then the
//!    slots are written over them, synced; then the journal is removed. Until the slots are there
//!    the file is a Python file, and a valid journal says that its own copy counts, so that a crash
//!    anywhere repeats the steps.
//! 2. If file, copy and journal together would pass `max_bytes`, the oldest records go first; and
//!    once none of what is left begins in the first 8192 bytes, no copy is needed: slot B is
//!    written there.
//! 3. A file that is longer than `max_bytes` has lost more than that from its front: the rest then
//!    moves down over it, in synced batches, each no longer than the free stretch, so that no batch
//!    overwrites its own source.

use std::io;

use crate::checksum;
use crate::error::{Fault, Reason};
use crate::frame::{self, Extent, HEADER_LEN, SLOT_LEN, SLOT_OFFSETS, State};
use crate::store::Store;
use crate::walk::{Front, Origin};
use crate::{Buffer, CHUNK, EventKey, Newest, SMALLEST_MAX_BYTES, to_usize};

/// What the Python library writes between two records.
const SEPARATOR: &[u8; 33] = b"__CHARM_TRACING_BUFFER_SPAN_SEP__";
const SEPARATOR_LEN: u64 = SEPARATOR.len() as u64;
/// More messages at the top of one record are not looked at.
const MAX_FIELDS: usize = 100_000;

/// A record, and how many bytes without one lie before it.
struct Segment {
    skip: u64,
    len: u64,
}

/// Whether a file of `len` bytes is the Python library's.
pub(crate) fn is_python(store: &mut impl Store, len: u64) -> io::Result<bool> {
    let all = [Extent { offset: 0, len }, Extent::default()];
    Ok(find_separator(store, &all, 0)?.is_some() || is_message(store, len)?)
}

/// Whether a file is a sequence of nothing but length-delimited fields number 1.
fn is_message(store: &mut impl Store, len: u64) -> io::Result<bool> {
    let mut at = 0_u64;
    for _ in 0..MAX_FIELDS {
        let mut bytes = [0; 11];
        let read = store.read_at(at, &mut bytes)?;
        let Some((&[0x0a], length)) = bytes.get(..read).and_then(|bytes| bytes.split_first_chunk())
        else {
            break;
        };
        let Some((length, taken)) = varint(length) else {
            return Ok(false);
        };
        at = at.saturating_add(1).saturating_add(taken).saturating_add(length);
        if at >= len {
            return Ok(at == len);
        }
    }
    Ok(false)
}

/// A protobuf number and the bytes it took.
fn varint(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0_u64;
    for (index, byte) in (0_u32..).zip(bytes.iter().take(9)) {
        value |= u64::from(byte & 0x7f).checked_shl(index.saturating_mul(7))?;
        if byte & 0x80 == 0 {
            return Some((value, u64::from(index).saturating_add(1)));
        }
    }
    None
}

/// Fills `buffer` from the joined extents, and says how much there was.
fn read_joined(
    store: &mut impl Store,
    extents: &[Extent; 2],
    mut at: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let mut done = 0_usize;
    for extent in extents {
        let left = extent.len.saturating_sub(at);
        let wanted =
            buffer.len().saturating_sub(done).min(usize::try_from(left).unwrap_or(usize::MAX));
        if let Some(part) =
            buffer.get_mut(done..done.saturating_add(wanted)).filter(|part| !part.is_empty())
        {
            let read = store.read_at(extent.offset.saturating_add(at), part)?;
            done = done.saturating_add(read);
            if read < wanted {
                break;
            }
        }
        at = at.saturating_sub(extent.len);
    }
    Ok(done)
}

/// Where the first separator at or behind `from` begins.
fn find_separator(
    store: &mut impl Store,
    extents: &[Extent; 2],
    mut from: u64,
) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; CHUNK];
    loop {
        let read = read_joined(store, extents, from, &mut bytes)?;
        let read_bytes = bytes.get(..read).unwrap_or_default();
        if let Some(found) =
            read_bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR)
        {
            return Ok(Some(from.saturating_add(found as u64)));
        }
        if read < bytes.len() {
            return Ok(None);
        }
        // A separator may begin in what was read and end behind it.
        from = from.saturating_add((read as u64).saturating_sub(SEPARATOR_LEN - 1));
    }
}

/// The oldest record in the extents. Nothing between two separators is no record.
fn first_segment(store: &mut impl Store, extents: &[Extent; 2]) -> io::Result<Option<Segment>> {
    let [first, second] = extents;
    let total = first.len.saturating_add(second.len);
    let mut skip = 0;
    while skip < total {
        let end = find_separator(store, extents, skip)?.unwrap_or(total);
        if end > skip {
            return Ok(Some(Segment { skip, len: end.saturating_sub(skip) }));
        }
        skip = skip.saturating_add(SEPARATOR_LEN);
    }
    Ok(None)
}

/// How many records there are in the extents.
pub(crate) fn count(store: &mut impl Store, extents: &[Extent; 2]) -> io::Result<u64> {
    let mut rest = State { python: *extents, ..State::new(0) };
    let mut records = 0_u64;
    while let Some(segment) = first_segment(store, &rest.python)? {
        advance(&mut rest, segment.skip.saturating_add(segment.len));
        records = records.saturating_add(1);
    }
    Ok(records)
}

/// Reads the record that lies behind `skip` bytes.
pub(crate) fn read(
    store: &mut impl Store,
    extents: &[Extent; 2],
    skip: u64,
    buffer: &mut [u8],
) -> Result<(), Fault> {
    let read = read_joined(store, extents, skip, buffer)?;
    if read == buffer.len() { Ok(()) } else { Err(Fault::Damage) }
}

/// Takes so many bytes, and the separator behind them, off the front of a state's extents.
pub(crate) fn advance(state: &mut State, len: u64) {
    let mut taken = len.saturating_add(SEPARATOR_LEN);
    for extent in &mut state.python {
        let part = taken.min(extent.len);
        extent.offset = extent.offset.saturating_add(part);
        extent.len = extent.len.saturating_sub(part);
        taken = taken.saturating_sub(part);
    }
}

/// Whether the oldest record lies where the header will be.
fn starts_in_header(state: &State) -> bool {
    let [_, records] = state.python;
    records.offset < HEADER_LEN
}

/// What the file will be once it is taken over, given that all of it is records.
fn state_of(len: u64, records: u64) -> State {
    let mut state = State::new(len);
    state.python = [Extent::default(), Extent { offset: 0, len }];
    state.records = records;
    state.events = records;
    state.next_sequence = records;
    state.last_event = records.saturating_sub(1);
    state
}

impl<S: Store> Buffer<S> {
    /// The oldest record, if it is one of the Python library's.
    pub(crate) fn python_front(&mut self, state: &mut State) -> Result<Option<Front>, Fault> {
        if !state.has_python() {
            return Ok(None);
        }
        let Some(segment) = first_segment(&mut self.store, &state.python)? else {
            state.python = [Extent::default(); 2];
            return Ok(None);
        };
        let sequence = state.head_sequence;
        if sequence != state.head_event && state.events <= 1 {
            return Err(Fault::Damage);
        }
        state.front_event(sequence);
        Ok(Some(Front {
            sequence,
            event: sequence,
            key: key(sequence),
            len: segment.len,
            origin: Origin::Python { skip: segment.skip },
        }))
    }

    /// Looks at a file without a header of ours as at a Python file; `false` if it is none.
    pub(crate) fn load_python(&mut self, beginning: &[u8]) -> Result<bool, Reason> {
        if !is_python(&mut self.store, self.file_len)? {
            return Ok(false);
        }
        let all = [Extent { offset: 0, len: self.file_len }, Extent::default()];
        let records = count(&mut self.store, &all)?;
        let mut state = state_of(self.file_len, records);
        // An interrupted import wrote over records that it had just evicted; they are no longer
        // what they were.
        let is_header_due = frame::has_begun_slot(beginning);
        while state.events > self.options.max_events
            || is_header_due && state.records > 0 && starts_in_header(&state)
        {
            match self.evict_event(&mut state, Newest::Stored) {
                Ok(()) => {}
                Err(Fault::Reason(reason)) => return Err(reason),
                Err(Fault::Damage) => break,
            }
        }
        self.recovery.evicted_events = records.saturating_sub(state.events);
        self.recovery.evicted_records = records.saturating_sub(state.records);
        self.adopt(state, 0);
        self.unimported = true;
        Ok(true)
    }

    /// Takes a Python file over, if this is one.
    pub(crate) fn import_if_needed(&mut self) -> Result<(), Fault> {
        if !self.unimported {
            return Ok(());
        }
        let mut next = self.state;
        loop {
            let [_, records] = next.python;
            if next.records == 0 {
                return Ok(self.import_nothing(next)?);
            }
            if starts_in_header(&next) {
                if let Some((next, displaced)) = self.plan_with_copy(next) {
                    return Ok(self.import_with_copy(next, displaced)?);
                }
            } else if self.can_stay(records) {
                return self.import_in_place(next);
            }
            self.evict_event(&mut next, Newest::Stored)?;
        }
    }

    /// A file of separators, or of records that all had to go.
    fn import_nothing(&mut self, mut next: State) -> Result<(), Reason> {
        next.clear();
        self.state.generation = 0;
        self.commit(next)?;
        self.cut_if_empty();
        Ok(())
    }

    /// Whether the records can stay where they are, or be moved down step by step.
    pub(crate) fn can_stay(&self, records: Extent) -> bool {
        let free = records.offset.saturating_sub(HEADER_LEN);
        records.end() <= self.end()
            || records.len.saturating_add(HEADER_LEN) <= self.end()
                && free >= records.len.min(self.end() / 64)
    }

    fn import_in_place(&mut self, mut next: State) -> Result<(), Fault> {
        let [_, records] = next.python;
        next.head = frame::align_up(records.end());
        next.tail = next.head;
        // Slot B lies within records that are gone, and is synced before slot A is touched.
        let [_, slot] = SLOT_OFFSETS;
        let mut overwritten = [0; SLOT_LEN];
        self.store.read_at(slot, &mut overwritten)?;
        self.state.generation = 1;
        self.spare = 1;
        if let Err(reason) = self.commit(next) {
            // The records that were to go are still there; an error is being reported already.
            let _ = self.store.write_at(slot, &overwritten).and_then(|()| self.store.sync());
            return Err(reason.into());
        }
        self.store.sync()?;
        self.move_python_down()
    }

    /// The state after displacing what lies where the header will, and what has to be displaced;
    /// `None` if that takes too much space.
    fn plan_with_copy(&self, mut next: State) -> Option<(State, Extent)> {
        let [_, records] = next.python;
        let displaced = Extent {
            offset: records.offset,
            len: records.end().min(HEADER_LEN).saturating_sub(records.offset),
        };
        let copy =
            Extent { offset: frame::align_up(records.end()).max(HEADER_LEN), len: displaced.len };
        let rest = Extent { offset: HEADER_LEN, len: records.end().saturating_sub(HEADER_LEN) };
        next.python = if rest.len == 0 { [Extent::default(), copy] } else { [copy, rest] };
        next.head = frame::align_up(copy.end());
        next.tail = next.head;
        next.journal = true;
        next.generation = 1;
        let journal = displaced.len.saturating_add(SLOT_LEN as u64).saturating_add(4);
        let fits =
            next.tail <= self.end() && next.tail.saturating_add(journal) <= self.options.max_bytes;
        fits.then_some((next, displaced))
    }

    fn import_with_copy(&mut self, next: State, displaced: Extent) -> Result<(), Reason> {
        let mut journal = next.encode();
        let mut bytes = vec![0; to_usize(displaced.len)];
        if self.store.read_at(displaced.offset, &mut bytes)? != bytes.len() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        journal.extend(bytes);
        let sum = checksum::of_payload(&journal);
        journal.extend(sum.to_le_bytes());
        if let Err(error) = self.store.write_journal(&journal) {
            self.store.remove_journal()?;
            return Err(error.into());
        }
        self.apply_journal(&journal)?;
        self.file_len = self.store.file_len()?;
        Ok(())
    }

    /// Does the steps that a journal stands for, from the beginning; `false` if the journal is not
    /// complete, and so nothing has been done yet, or if it is of another file.
    pub(crate) fn apply_journal(&mut self, journal: &[u8]) -> Result<bool, Reason> {
        let Some((next, displaced)) = decode_journal(journal) else {
            return Ok(false);
        };
        let header = header_of(&next);
        if !self.is_being_imported(&next, displaced, &header)? {
            return Ok(false);
        }
        let copied = self.store.write_at(copy_of(&next).offset, displaced);
        if let Err(error) = copied.and_then(|()| self.store.sync()) {
            // Nothing is overwritten yet; without the journal the file is what it was, but only
            // once what was added is gone for good.
            self.store.set_len(next.file_id)?;
            self.store.sync()?;
            self.store.remove_journal()?;
            return Err(error.into());
        }
        self.store.write_at(0, &header)?;
        self.store.sync()?;
        self.store.remove_journal()?;
        self.adopt(next, 0);
        Ok(true)
    }

    /// Whether the file is the one that a journal was written for: it begins with what is to be
    /// displaced, or with the header already, or with some of both; and has the length that it had,
    /// or behind that some of the copy.
    fn is_being_imported(
        &mut self,
        next: &State,
        displaced: &[u8],
        header: &[u8],
    ) -> io::Result<bool> {
        let copy = copy_of(next);
        // The id of a file that is taken over is the length it had.
        let length = next.file_id;
        if !(length..=copy.end()).contains(&self.store.file_len()?) {
            return Ok(false);
        }
        let start = length.min(HEADER_LEN).saturating_sub(copy.len);
        let mut beginning = vec![0; displaced.len()];
        let read = self.store.read_at(start, &mut beginning)?;
        let header = header.iter().skip(to_usize(start));
        let is_either = |(is, (was, will)): (&u8, (&u8, &u8))| is == was || is == will;
        let begins_alike = read == beginning.len()
            && beginning.iter().zip(displaced.iter().zip(header)).all(is_either);

        let padding = to_usize(copy.offset.saturating_sub(length));
        let mut added = vec![0; padding.saturating_add(displaced.len())];
        self.store.read_at(length, &mut added)?;
        let to_add = std::iter::repeat_n(&0, padding).chain(displaced);
        let ends_alike = added.iter().zip(to_add).all(|(is, will)| *is == 0 || is == will);
        Ok(begins_alike && ends_alike)
    }

    /// Moves records that end behind the ring's end down to its beginning, as far as they are moved
    /// already or not.
    pub(crate) fn move_python_down(&mut self) -> Result<(), Fault> {
        if self.state.extent() <= self.end() {
            return Ok(());
        }
        let mut next = self.state;
        let [moved, _] = &mut next.python;
        if moved.len == 0 {
            moved.offset = HEADER_LEN;
        }
        while let [moved, left] = next.python
            && left.len > 0
            && (moved.len > 0 || left.end() > self.end())
        {
            let step = left.offset.saturating_sub(moved.end()).min(left.len);
            self.copy(left.offset, moved.end(), step)?;
            self.store.sync()?;
            next.python = [
                Extent { len: moved.len.saturating_add(step), ..moved },
                Extent {
                    offset: left.offset.saturating_add(step),
                    len: left.len.saturating_sub(step),
                },
            ];
            self.commit(next)?;
            self.store.sync()?;
        }
        let records = copy_of(&next);
        next.python = [Extent::default(), records];
        next.head = frame::align_up(records.end());
        next.tail = next.head;
        self.commit(next)?;
        self.set_len(next.tail)?;
        Ok(())
    }

    /// Whether moving records down was begun, and not ended, with room enough to go on.
    pub(crate) fn is_moving_python(&self) -> bool {
        let [moved, left] = self.state.python;
        let room = left.offset.saturating_sub(moved.end());
        moved.len > 0 && moved.offset == HEADER_LEN && room >= left.len.min(SMALLEST_MAX_BYTES / 64)
    }

    /// Copies bytes within the file, in pieces.
    pub(crate) fn copy(&mut self, from: u64, to: u64, len: u64) -> io::Result<()> {
        let mut bytes = vec![0; CHUNK];
        let mut done = 0_u64;
        while done < len {
            let step =
                usize::try_from(len.saturating_sub(done)).map_or(CHUNK, |left| left.min(CHUNK));
            let piece = bytes.get_mut(..step).unwrap_or_default();
            if self.store.read_at(from.saturating_add(done), piece)? != step {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.store.write_at(to.saturating_add(done), piece)?;
            done = done.saturating_add(step as u64);
        }
        Ok(())
    }
}

fn decode_journal(journal: &[u8]) -> Option<(State, &[u8])> {
    let (covered, sum) = journal.split_last_chunk::<4>()?;
    let (slot, displaced) = covered.split_at_checked(SLOT_LEN)?;
    let next = State::decode(slot)?;
    let plausible = copy_of(&next).len == displaced.len() as u64
        && next.journal
        && displaced.len() as u64 <= HEADER_LEN;
    (plausible && u32::from_le_bytes(*sum) == checksum::of_payload(covered))
        .then_some((next, displaced))
}

/// The first extent that is not empty: after an import that of the displaced bytes, after a move
/// that of all.
fn copy_of(next: &State) -> Extent {
    let [first, second] = next.python;
    if first.len > 0 { first } else { second }
}

/// The 8192 bytes that a file begins with, both slots alike.
fn header_of(state: &State) -> Vec<u8> {
    let mut half = state.encode();
    half.resize(to_usize(HEADER_LEN / 2), 0);
    half.repeat(SLOT_OFFSETS.len())
}

/// The key of a record that has none.
fn key(sequence: u64) -> EventKey {
    let mut key = *b"charm_tracing_py";
    if let Some(number) = key.last_chunk_mut() {
        *number = sequence.to_be_bytes();
    }
    EventKey(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varint_reads_protobuf_lengths() {
        assert_eq!(varint(&[0x05]), Some((5, 1)));
        assert_eq!(varint(&[0xac, 0x02, 0xff]), Some((300, 2)));
        assert_eq!(varint(&[0xff; 9]), None, "a number that does not end");
        assert_eq!(varint(&[]), None);
    }

    #[test]
    fn advance_takes_from_the_first_extent_first() {
        let mut state = State::new(0);
        state.python = [Extent { offset: 9000, len: 40 }, Extent { offset: 8192, len: 100 }];
        advance(&mut state, 17);
        assert_eq!(
            state.python,
            [Extent { offset: 9040, len: 0 }, Extent { offset: 8202, len: 90 }]
        );
    }
}
