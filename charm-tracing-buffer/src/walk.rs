//! Walking from head to tail: what the oldest record is, what its bytes are, what comes behind it.
//! Anything found that does not belong there is damage. Nothing is written here.

use std::io;

use crate::checksum;
use crate::error::{Error, Fault};
use crate::frame::{self, FRAME_HEADER_LEN, FrameHeader, RecordHeader, State};
use crate::store::{FileStore, Store};
use crate::{Buffer, EventKey, Record, python, to_usize};

impl<S: Store> Buffer<S> {
    /// The oldest record of `state`. Brings `state` to it: what lies before it is skipped, an ended
    /// event counted.
    pub(crate) fn front(&mut self, state: &mut State) -> Result<Option<Front>, Fault> {
        if state.records == 0 {
            return Ok(None);
        }
        if let Some(front) = self.python_front(state)? {
            return Ok(Some(front));
        }
        state.skip(0);
        loop {
            let left = state.stretch_end().saturating_sub(state.head);
            match self.frame_at(state.head)? {
                Some(FrameHeader::Filler(len)) if len <= left => state.skip(len),
                Some(FrameHeader::Record(header))
                    if header.frame_len() <= left && belongs(&header, state) =>
                {
                    state.front_event(header.event);
                    return Ok(Some(Front::of_frame(&header, state.head)));
                }
                _ => return Err(Fault::Damage),
            }
        }
    }

    pub(crate) fn frame_at(&mut self, offset: u64) -> io::Result<Option<FrameHeader>> {
        if let Some((at, bytes)) = self.ahead.take()
            && at == offset
        {
            return Ok(frame::decode_frame(&bytes, offset));
        }
        let mut bytes = [0; 64];
        let read = self.store.read_at(offset, &mut bytes)?;
        Ok(bytes.get(..read).and_then(|bytes| frame::decode_frame(bytes, offset)))
    }

    /// The record that `front`, of `state`, stands for.
    pub(crate) fn read(&mut self, state: &State, front: &Front) -> Result<Record, Fault> {
        let bytes = match front.origin {
            Origin::Frame { at, checksum } => self.read_payload(at, front.len, checksum)?,
            Origin::Python { skip } => {
                let mut bytes = vec![0; to_usize(front.len)];
                python::read(&mut self.store, &state.python, skip, &mut bytes)?;
                bytes
            }
        };
        Ok(Record { event: front.key, bytes })
    }

    /// Reads a payload and, since that is the next thing wanted, the fixed part of the frame behind
    /// it.
    fn read_payload(&mut self, at: u64, len: u64, checksum: u32) -> Result<Vec<u8>, Fault> {
        let frame_len = frame::frame_len(len);
        let len = to_usize(len);
        let mut bytes = vec![0; to_usize(frame_len)];
        let read = self.store.read_at(at.saturating_add(FRAME_HEADER_LEN), &mut bytes)?;
        if read < len || bytes.get(..len).map(checksum::of_payload) != Some(checksum) {
            return Err(Fault::Damage);
        }
        if read == bytes.len() {
            self.ahead = bytes.last_chunk().map(|next| (at.saturating_add(frame_len), *next));
        }
        bytes.truncate(len);
        Ok(bytes)
    }
}

/// The oldest record of a state: where it is and what its header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front {
    pub(crate) sequence: u64,
    pub(crate) event: u64,
    pub(crate) key: EventKey,
    /// Bytes of the payload.
    pub(crate) len: u64,
    pub(crate) origin: Origin,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// A frame at this offset.
    Frame { at: u64, checksum: u32 },
    /// Bytes of the Python file, behind so many of no interest.
    Python { skip: u64 },
}

impl Front {
    fn of_frame(header: &RecordHeader, at: u64) -> Self {
        Self {
            sequence: header.sequence,
            event: header.event,
            key: EventKey(header.key),
            len: u64::from(header.payload_len),
            origin: Origin::Frame { at, checksum: header.payload_checksum },
        }
    }

    pub(crate) fn remove_from(&self, state: &mut State) {
        match self.origin {
            Origin::Frame { .. } => state.skip(frame::frame_len(self.len)),
            Origin::Python { skip } => python::advance(state, skip.saturating_add(self.len)),
        }
        state.remove_first(self.sequence);
    }
}

/// Whether a frame at the head of `state` can be the one that is meant to be there, and not one of
/// an earlier lap.
fn belongs(header: &RecordHeader, state: &State) -> bool {
    (state.head_sequence..state.next_sequence).contains(&header.sequence)
        && (state.head_event..=state.last_event).contains(&header.event)
        // A new event, when only one is left, would be one too many.
        && (header.event == state.head_event || state.events > 1)
}

/// All records of a buffer, oldest first; see [`Buffer::iter`].
#[derive(Debug)]
pub struct Iter<'a, S = FileStore> {
    buffer: &'a mut Buffer<S>,
    /// What is still to come, and the first record number that is not part of it; `None` before the
    /// beginning.
    rest: Option<(State, u64)>,
    done: bool,
}

impl<'a, S> Iter<'a, S> {
    pub(crate) fn new(buffer: &'a mut Buffer<S>) -> Self {
        Self { buffer, rest: None, done: false }
    }
}

impl<S: Store> Iterator for Iter<'_, S> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let rest = self.rest;
        let found = self.buffer.reading(None, |buffer| {
            let (rest, end) = rest.unwrap_or((buffer.state, buffer.state.next_sequence));
            buffer.record_after(rest, end)
        });
        self.done = !matches!(found, Ok(Some(_)));
        match found.transpose()? {
            Ok((record, rest, end)) => {
                self.rest = Some((rest, end));
                Some(Ok(record))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl<S: Store> Buffer<S> {
    /// The first record of `rest` that is still there and older than `end`, what comes after it,
    /// and `end`.
    fn record_after(
        &mut self,
        rest: State,
        end: u64,
    ) -> Result<Option<(Record, State, u64)>, Fault> {
        if self.state.file_id != rest.file_id {
            return Ok(None);
        }
        let mut now = rest;
        if self.state.generation != rest.generation {
            // Others were here. Begin at the front and skip what was read.
            now = self.state;
            while let Some(front) = self.front(&mut now)? {
                if front.sequence >= rest.head_sequence {
                    break;
                }
                front.remove_from(&mut now);
            }
        }
        let Some(front) = self.front(&mut now)?.filter(|front| front.sequence < end) else {
            return Ok(None);
        };
        let record = self.read(&now, &front)?;
        front.remove_from(&mut now);
        Ok(Some((record, now, end)))
    }
}
