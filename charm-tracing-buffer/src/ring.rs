//! Where frames lie: the geometry of the ring, as arithmetic on a [`State`]. It owns which bytes
//! are free and how head and tail move, and knows neither bytes nor files. Live frames never
//! overlap; a frame is never split.

use crate::frame::{HEADER_LEN, RecordHeader, State, align_down};

impl State {
    /// The end of the highest live byte: the file must be at least so long.
    pub(crate) fn extent(&self) -> u64 {
        let python =
            self.python.iter().filter(|extent| extent.len > 0).map(|extent| extent.end()).max();
        self.tail.max(self.wrap).max(python.unwrap_or(0))
    }

    /// Whether records in the Python library's format are still to come before the frames.
    pub(crate) fn has_python(&self) -> bool {
        self.python.iter().any(|extent| extent.len > 0)
    }

    /// Where a frame of `len` bytes would go in a ring that ends at `end`; `None` while live bytes
    /// are in its way.
    pub(crate) fn place(&self, len: u64, end: u64) -> Option<u64> {
        let fits_below = |offset: u64, limit: u64| offset.saturating_add(len) <= limit;
        if self.wrap != 0 {
            return fits_below(self.tail, self.floor()).then_some(self.tail);
        }
        if fits_below(self.tail, end) {
            return Some(self.tail);
        }
        fits_below(HEADER_LEN, self.floor()).then_some(HEADER_LEN)
    }

    /// The lowest byte that the oldest data may lie at: below it, down to the ring's start, all is
    /// free (unless the ring has wrapped; then down to the tail).
    fn floor(&self) -> u64 {
        let [first, second] = self.python;
        if first.len > 0 {
            HEADER_LEN
        } else if second.len > 0 {
            align_down(second.offset)
        } else {
            self.head
        }
    }

    /// The record with this header now is the newest; its frame is at `at`, a result of
    /// [`State::place`].
    pub(crate) fn append(&mut self, header: &RecordHeader, at: u64) {
        if at < self.tail && self.wrap == 0 {
            self.wrap = self.tail;
        }
        if self.records == 0 {
            self.head_sequence = header.sequence;
            self.head_event = header.event;
        }
        if self.records == 0 || header.event != self.last_event {
            self.events = self.events.saturating_add(1);
        }
        self.tail = at.saturating_add(header.frame_len());
        self.next_sequence = header.sequence.saturating_add(1);
        self.records = self.records.saturating_add(1);
        self.last_event = header.event;
        self.last_key = header.key;
    }

    /// The number of the event that a record with `key`, pushed now, belongs to.
    pub(crate) fn event_for(&self, key: [u8; 16]) -> u64 {
        if self.next_sequence == 0 || (self.records > 0 && self.last_key == key) {
            self.last_event
        } else {
            self.last_event.saturating_add(1)
        }
    }

    /// Moves the head over a frame (or filler) of `len` bytes.
    pub(crate) fn skip(&mut self, len: u64) {
        self.head = self.head.saturating_add(len);
        if self.wrap != 0 && self.head >= self.wrap {
            self.head = HEADER_LEN;
            self.wrap = 0;
        }
    }

    /// Where the stretch that the head is in ends.
    pub(crate) fn stretch_end(&self) -> u64 {
        if self.wrap == 0 { self.tail } else { self.wrap }
    }

    /// The oldest record, number `sequence`, is gone.
    pub(crate) fn remove_first(&mut self, sequence: u64) {
        self.head_sequence = sequence.saturating_add(1);
        self.records = self.records.saturating_sub(1);
        if self.records == 0 {
            self.clear();
        }
    }

    /// The record now at the front belongs to `event`: if that is another one than before, one
    /// event has ended.
    pub(crate) fn front_event(&mut self, event: u64) {
        if event != self.head_event {
            self.head_event = event;
            self.events = self.events.saturating_sub(1);
        }
    }

    /// Nothing is live any more; numbers go on where they were.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            generation: self.generation,
            entry_synced: self.entry_synced,
            journal: self.journal,
            head_sequence: self.next_sequence,
            next_sequence: self.next_sequence,
            head_event: self.last_event,
            last_event: self.last_event,
            metadata: self.metadata,
            ..Self::new(self.file_id)
        };
    }
}
