//! Taking damage out of a file. It owns the full verification: what is intact is kept in order,
//! what is not is covered by fillers and counted, and afterwards every walk from head to tail finds
//! a frame at every step. An interrupted repair begins again, because it never overwrites an intact
//! frame.

use std::io;

use crate::checksum::OfPieces;
use crate::error::{Fault, Reason};
use crate::frame::{
    self, Extent, FRAME_HEADER_LEN, FrameHeader, HEADER_LEN, RecordHeader, SLOT_LEN, State,
};
use crate::store::Store;
use crate::{Buffer, CHUNK, LARGEST_MAX_BYTES, python};

/// What lies at a place of the ring.
enum Found {
    Intact(RecordHeader),
    /// So many bytes that are no record.
    Waste(u64),
}

/// The intact records met so far, in order.
#[derive(Default)]
struct Survivors {
    first: Option<(u64, RecordHeader)>,
    last: Option<RecordHeader>,
    records: u64,
    events: u64,
}

impl Survivors {
    fn note(&mut self, at: u64, header: RecordHeader) {
        if self.last.is_none_or(|last| last.event != header.event) {
            self.events = self.events.saturating_add(1);
        }
        self.first.get_or_insert((at, header));
        self.last = Some(header);
        self.records = self.records.saturating_add(1);
    }

    /// Whether `header` comes after all of these and can be one of `state`'s.
    fn is_next(&self, header: &RecordHeader, state: &State) -> bool {
        header.sequence < state.next_sequence
            && header.event <= state.last_event
            && match self.last {
                Some(last) => header.sequence > last.sequence && header.event >= last.event,
                None => header.sequence >= state.head_sequence && header.event >= state.head_event,
            }
    }
}

impl<S: Store> Buffer<S> {
    /// The other slot is damaged and may have said more than this one: takes in the frames that it
    /// may have known.
    pub(crate) fn take_in_newer(&mut self) -> Result<(), Reason> {
        let mut window = Window::default();
        while let Some((at, header)) = self.next_newer(&mut window)? {
            self.state.append(&header, at);
            self.evict_before(header.oldest_sequence)?;
        }
        Ok(())
    }

    /// Evicts what a newer record says was evicted for it.
    fn evict_before(&mut self, oldest_sequence: u64) -> Result<(), Reason> {
        let mut state = self.state;
        loop {
            match self.front(&mut state) {
                Ok(Some(front)) if front.sequence < oldest_sequence => {
                    front.remove_from(&mut state);
                }
                Err(Fault::Reason(reason)) => return Err(reason),
                // Damage is found again, and repaired, when something is read.
                Ok(_) | Err(Fault::Damage) => break,
            }
        }
        self.state = state;
        Ok(())
    }

    fn next_newer(&mut self, window: &mut Window) -> io::Result<Option<(u64, RecordHeader)>> {
        let tail = self.state.tail;
        // Behind the newest frame or, as if the ring ended there, at its beginning.
        for (at, end) in [(tail, u64::MAX), (HEADER_LEN, tail)] {
            if let Found::Intact(header) = self.found_at(at, self.file_len, window)?
                && header.sequence == self.state.next_sequence
                && header.event >= self.state.last_event
                && self.state.place(header.frame_len(), end) == Some(at)
            {
                return Ok(Some((at, header)));
            }
        }
        Ok(None)
    }

    /// Verifies all that is live, and makes the file what it would be had the damaged records never
    /// been in it.
    pub(crate) fn repair(&mut self) -> Result<(), Reason> {
        self.ahead = None;
        let before = self.state;
        self.commit(State { repairing: true, ..before })?;
        self.file_len = self.store.file_len()?;
        let mut next = self.state;
        next.repairing = false;
        self.repair_frames(&mut next)?;
        self.sync_as(self.options.durability)?;
        self.commit(next)?;
        self.cut_if_empty();
        let lost = |before: u64, after: u64| before.saturating_sub(after);
        let recovery = &mut self.recovery;
        recovery.lost_records =
            recovery.lost_records.saturating_add(lost(before.records, next.records));
        recovery.lost_events =
            recovery.lost_events.saturating_add(lost(before.events, next.events));
        Ok(())
    }

    /// What is left of the bytes of a Python file, given the oldest frame. They have no checksums
    /// and are believed, unless there are more records than there are numbers for them.
    fn repair_python(&mut self, next: &mut State, frame: Option<&RecordHeader>) -> io::Result<u64> {
        for extent in &mut next.python {
            extent.len = extent.len.min(self.file_len.saturating_sub(extent.offset));
        }
        let records = python::count(&mut self.store, &next.python)?;
        let (sequence, event) = frame
            .map_or((next.next_sequence, next.last_event.saturating_add(1)), |frame| {
                (frame.sequence, frame.event)
            });
        if next.head_sequence.saturating_add(records) <= sequence.min(event) {
            return Ok(records);
        }
        next.python = [Extent::default(); 2];
        Ok(0)
    }

    fn repair_frames(&mut self, next: &mut State) -> io::Result<()> {
        let old = *next;
        let mut survivors = Survivors::default();
        let upper_end = self.repair_stretch((old.head, old.stretch_end()), &old, &mut survivors)?;
        let has_upper = survivors.records > 0;
        if old.wrap == 0 {
            next.tail = upper_end;
        } else {
            next.tail = self.repair_stretch((HEADER_LEN, old.tail), &old, &mut survivors)?;
        }
        let first = survivors.first;
        let python_records = self.repair_python(next, first.as_ref().map(|(_, header)| header))?;
        match first {
            Some((at, _)) if has_upper || python_records == 0 => next.head = at,
            _ => {}
        }
        if old.wrap != 0 {
            next.wrap = match (has_upper, python_records) {
                (true, _) => upper_end,
                (false, 0) => 0,
                (false, _) => next.head,
            };
        }
        if first.is_none() {
            next.tail = next.head;
            next.wrap = 0;
        }
        if python_records > 0 {
            next.head_event = next.head_sequence;
        } else if let Some((_, first)) = first {
            next.head_sequence = first.sequence;
            next.head_event = first.event;
        }
        next.records = python_records.saturating_add(survivors.records);
        next.events = python_records.saturating_add(survivors.events);
        next.last_event = survivors.last.map_or(old.last_event, |last| last.event);
        next.last_key = survivors.last.map_or([0; 16], |last| last.key);
        if next.records == 0 {
            next.clear();
        }
        Ok(())
    }

    /// Verifies a stretch of the ring, covers what is wrong between intact frames, and says where
    /// the last one ends.
    fn repair_stretch(
        &mut self,
        (from, to): (u64, u64),
        state: &State,
        survivors: &mut Survivors,
    ) -> io::Result<u64> {
        let to = to.min(self.file_len);
        let mut window = Window::default();
        let (mut at, mut intact_until) = (from, from);
        while at < to {
            match self.found_at(at, to, &mut window)? {
                Found::Intact(header) if survivors.is_next(&header, state) => {
                    if at > intact_until && survivors.records > 0 {
                        let filler =
                            frame::encode_filler(at.saturating_sub(intact_until), intact_until);
                        self.store.write_at(intact_until, &filler)?;
                    }
                    survivors.note(at, header);
                    at = at.saturating_add(header.frame_len());
                    intact_until = at;
                }
                Found::Intact(header) => at = at.saturating_add(header.frame_len()),
                Found::Waste(len) => at = at.saturating_add(len),
            }
        }
        Ok(intact_until)
    }

    /// What is at `at`, all of it before `to`.
    fn found_at(&mut self, at: u64, to: u64, window: &mut Window) -> io::Result<Found> {
        let header =
            window.read(&mut self.store, at)?.and_then(|bytes| frame::decode_frame(bytes, at));
        let left = to.saturating_sub(at);
        Ok(match header {
            Some(FrameHeader::Record(header)) if header.frame_len() <= left => {
                if self.payload_checksum(at, u64::from(header.payload_len))?
                    == Some(header.payload_checksum)
                {
                    Found::Intact(header)
                } else {
                    Found::Waste(header.frame_len())
                }
            }
            Some(FrameHeader::Filler(len)) if len <= left => Found::Waste(len),
            _ => Found::Waste(FRAME_HEADER_LEN),
        })
    }

    /// The checksum of a frame's payload, read in pieces; `None` if the file ends in it.
    fn payload_checksum(&mut self, at: u64, len: u64) -> io::Result<Option<u32>> {
        let mut checksum = OfPieces::default();
        let mut bytes = vec![0; CHUNK.min(usize::try_from(len).unwrap_or(CHUNK))];
        let payload = at.saturating_add(FRAME_HEADER_LEN);
        let mut done = 0_u64;
        while done < len {
            let step =
                usize::try_from(len.saturating_sub(done)).map_or(CHUNK, |left| left.min(CHUNK));
            let piece = bytes.get_mut(..step).unwrap_or_default();
            if self.store.read_at(payload.saturating_add(done), piece)? != step {
                return Ok(None);
            }
            checksum.add(piece);
            done = done.saturating_add(step as u64);
        }
        Ok(Some(checksum.finish()))
    }

    /// Finds out what a file without a valid slot is, and makes it usable. `false` if it has to be
    /// loaded again.
    pub(crate) fn load_without_header(&mut self, beginning: &[u8]) -> Result<bool, Reason> {
        // Longer than any buffer: not worth a search.
        if self.file_len > LARGEST_MAX_BYTES {
            return self.move_aside();
        }
        if let Some(journal) = self.store.read_journal()? {
            if self.apply_journal(&journal)? {
                return Ok(false);
            }
            self.store.remove_journal()?;
        }
        if let Some(state) = self.state_from_frames()? {
            self.recovery.header_rebuilt = true;
            self.adopt(state, 0);
            self.repair()?;
            return Ok(true);
        }
        if self.load_python(beginning)? {
            return Ok(true);
        }
        if beginning.len() < SLOT_LEN && frame::is_beginning_of_slot(beginning)
            || self.is_blank()?
        {
            self.recovery.header_rebuilt = true;
            let id = self.store.fresh_id();
            self.adopt(State::new(id), 0);
            return Ok(true);
        }
        self.move_aside()
    }

    fn move_aside(&mut self) -> Result<bool, Reason> {
        self.store.set_aside()?;
        self.recovery.moved_aside = true;
        Ok(false)
    }

    /// What the intact frames of a file say about it, if there are any: the newest knows which was
    /// the oldest.
    fn state_from_frames(&mut self) -> io::Result<Option<State>> {
        let mut newest: Option<(u64, RecordHeader)> = None;
        self.each_frame(|at, header| {
            if newest.is_none_or(|(_, newest)| header.sequence > newest.sequence) {
                newest = Some((at, header));
            }
        })?;
        let Some((newest_at, newest)) = newest else {
            return Ok(None);
        };
        let mut oldest = (newest_at, newest);
        self.each_frame(|at, header| {
            if (newest.oldest_sequence..oldest.1.sequence).contains(&header.sequence) {
                oldest = (at, header);
            }
        })?;
        let (head, oldest) = oldest;
        let head_sequence = newest.oldest_sequence.min(oldest.sequence);
        let next_sequence = newest.sequence.saturating_add(1);
        let records = next_sequence.saturating_sub(head_sequence);
        let events = newest.event.saturating_sub(oldest.event).saturating_add(1);
        let id = self.store.fresh_id();
        Ok(Some(State {
            head,
            tail: newest_at.saturating_add(newest.frame_len()),
            wrap: if head > newest_at { frame::align_up(self.file_len) } else { 0 },
            head_sequence,
            next_sequence,
            records,
            events: events.min(records),
            head_event: oldest.event.min(newest.event),
            last_event: newest.event,
            last_key: newest.key,
            ..State::new(id)
        }))
    }

    fn each_frame(&mut self, mut visit: impl FnMut(u64, RecordHeader)) -> io::Result<()> {
        let mut window = Window::default();
        let mut at = HEADER_LEN;
        while at < self.file_len {
            at = at.saturating_add(match self.found_at(at, self.file_len, &mut window)? {
                Found::Intact(header) => {
                    visit(at, header);
                    header.frame_len()
                }
                Found::Waste(len) => len,
            });
        }
        Ok(())
    }

    fn is_blank(&mut self) -> io::Result<bool> {
        let mut bytes = vec![0; CHUNK];
        let mut at = 0;
        loop {
            let read = self.store.read_at(at, &mut bytes)?;
            if read == 0 {
                return Ok(true);
            }
            if bytes.iter().take(read).any(|byte| *byte != 0) {
                return Ok(false);
            }
            at = at.saturating_add(read as u64);
        }
    }
}

/// Reads ahead, so that a search does not read the file in pieces of 64 bytes.
#[derive(Default)]
struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The 64 bytes at `at`; `None` if the file ends in them.
    fn read(&mut self, store: &mut impl Store, at: u64) -> io::Result<Option<&[u8]>> {
        if self.get(at).is_none() {
            self.at = at;
            self.bytes.resize(CHUNK, 0);
            let read = store.read_at(at, &mut self.bytes)?;
            self.bytes.truncate(read);
        }
        Ok(self.get(at))
    }

    fn get(&self, at: u64) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.at)?).ok()?;
        self.bytes.get(from..from.checked_add(64)?)
    }
}
