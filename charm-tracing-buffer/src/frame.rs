//! The byte format, pure: what a header slot, a record frame and a filler frame are made of. This
//! file is the format's specification (version 1); `tests/format.rs` keeps it true with a golden
//! file. It does no I/O.
//!
//! # The file
//!
//! All integers are little-endian. Checksums are CRC-32/ISO-HDLC (the CRC of zlib and Ethernet,
//! check value `cbf43926`). `E` is `max_bytes` rounded down to 64.
//!
//! | bytes | what |
//! |---|---|
//! | 0..256 | header slot A |
//! | 4096..4352 | header slot B, on a page of its own so that one damaged page cannot take both |
//! | 8192..E | the ring: frames, each 64-byte aligned and never split over the ring's end |
//!
//! A file of 0 or of exactly 8192 bytes is an empty buffer; that is what makes "is it empty?" one
//! `stat`. Other bytes, and bytes of the ring that the header does not call live, mean nothing. The
//! file may end before `E`.
//!
//! # A header slot: 256 bytes
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0..8 | magic | `ctbuffer` |
//! | 8..12 | version | 1 |
//! | 12..16 | checksum | of bytes 0..12: a newer version is told from a flipped bit, in every version to come |
//! | 16..24 | generation | the valid slot with the higher one is the truth; a write goes to the other slot |
//! | 24..28 | flags | 1: a repair was begun; 2: the directory entry was synced; 4: an import may have left its journal |
//! | 28..32 | 0 | |
//! | 32..40 | head | offset of the oldest live frame |
//! | 40..48 | tail | offset behind the newest live frame |
//! | 48..56 | wrap | 0: live is `head..tail`; else live is `head..wrap`, then `8192..tail` |
//! | 56..64 | head sequence | number of the oldest live record, or lower if that one was lost |
//! | 64..72 | next sequence | the number that the next record gets |
//! | 72..80 | records | live, intact records |
//! | 80..88 | events | live events among them |
//! | 88..96 | head event | number of the oldest live event |
//! | 96..104 | last event | number of the newest event |
//! | 104..112 | file id | random, so that a batch of a file that was replaced is not acknowledged in its successor |
//! | 112..128 | last key | key of the newest event: a push with it goes on with that event |
//! | 128..192 | metadata | the caller's |
//! | 192..208 | first extent | offset and length of not yet imported bytes in the Python library's format … |
//! | 208..224 | second extent | … and their continuation; these records are older than every frame |
//! | 224..252 | 0 | |
//! | 252..256 | checksum | of bytes 0..252 |
//!
//! # A frame: 64 bytes, the payload, zeroes up to the next multiple of 64
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0..4 | magic | `CTfr` |
//! | 4..8 | kind | 1: record; 2: filler, bytes to be skipped |
//! | 8..12 | length | of the payload in bytes; of a filler, of what follows the 64 bytes |
//! | 12..16 | payload checksum | of the payload |
//! | 16..24 | sequence | rises by one with every record, over the whole life of the file |
//! | 24..32 | event | rises by one with every event |
//! | 32..40 | oldest sequence | the head sequence when this record was written |
//! | 40..56 | key | the event's |
//! | 56..60 | 0 | |
//! | 60..64 | checksum | of bytes 0..60 and of the frame's own offset as 8 bytes |
//!
//! The offset in the checksum and the rising sequence are what make frames self-synchronising:
//! neither a frame of an earlier lap nor bytes inside a payload that look like a frame pass for a
//! live one.
//!
//! # Writing
//!
//! * **Push**: the frame goes into free space, then the spare slot is written, then one sync.
//!   Evictions are part of that slot. Afterwards there is room for one more record of the same
//!   size, so the bytes that the next push overwrites are those of events whose eviction is already
//!   durable. Only a record that finds no such room, because it is larger than the one before it or
//!   than `E` / 16, evicts first, with a slot and a sync of its own.
//! * **Acknowledge**, **metadata**: the spare slot, one sync. When nothing is left the file is then
//!   cut to 8192 bytes.
//! * **A failed write or sync**: the frame's header and the slot are zeroed again and growth is cut
//!   off. Pages that failed to sync are never trusted: what was zeroed will be written anew by the
//!   next push, to the same place and the same slot, and the durable slot is not touched in
//!   between.
//! * **Shrinking** (opened with smaller caps): frames move down within the file into free space,
//!   oldest first, each batch synced before its originals are overwritten; a filler covers the hole
//!   between copies and originals.
//! * **Import of a Python file**: see `python.rs`.
//!
//! # Recovery
//!
//! 1. The newest valid slot counts. If the other one is not valid, frames that continue the
//!    sequence at `tail` are taken in: the damaged slot may have been the newer. (The first write
//!    to a file fills both.)
//! 2. When a frame that should be there is not (bad header or payload checksum, file too short),
//!    every frame in the live range is verified and what is between intact ones is covered by
//!    fillers. Lost are the records and events that the header counted and that are not found. Flag
//!    1 makes an interrupted repair begin again. Damage to a payload is found when the payload is
//!    read.
//! 3. When no slot is valid, all intact frames of the file from the newest one's "oldest sequence"
//!    on are live. The metadata is lost, as are acknowledgements since the newest push: those
//!    records come again.
//!
//! # What is assumed of the medium
//!
//! A sync that succeeded made durable what was written before it; unsynced writes may be lost, torn
//! or reordered at will; writing a 4096-byte page does not damage another page; what is damaged
//! anyway is noticed with the probability of a 32-bit checksum.
//!
//! # What a crash loses
//!
//! | crash (kill, or loss of power with `Durability::Sync`) | after reopening |
//! |---|---|
//! | while the frame is written | the push never happened |
//! | slot on disk, frame not or in part | that record, never acknowledged, is reported as lost; what went for it is gone |
//! | frame on disk, slot not or in part | the push never happened, or (torn slot) it did, with the metadata of before |
//! | after the sync, before `push` returns | it happened |
//! | between an eviction of its own and the frame | the evicted events are gone, the push never happened |
//! | acknowledging, before or in the sync | all of the batch comes again, or none |
//! | between the acknowledging slot and the cut | nothing; the file is cut by the next writer |
//! | repairing, shrinking, importing | nothing; it is taken up again |
//!
//! With `Durability::Process` the first column is "kill" only, until a sync makes what was done
//! durable. A loss of power then leaves every record that was there at the last sync and in each
//! state since. It may lose what was pushed since; where it tears the second of two slots, undo
//! acknowledgements and metadata from before the sync; and where the cut of an empty file came
//! before its slot, report as lost what was acknowledged. As long as there are bytes of a Python
//! file, which have no checksums, slots are synced all the same.

use crate::checksum;

/// Bytes before the ring; also the size of an empty buffer's file.
pub(crate) const HEADER_LEN: u64 = 8192;
/// Where the two header slots lie.
pub(crate) const SLOT_OFFSETS: [u64; 2] = [0, 4096];
/// Bytes of one header slot.
pub(crate) const SLOT_LEN: usize = 256;
/// What a reader has to read to see both slots.
pub(crate) const SLOTS_LEN: usize = 4096 + SLOT_LEN;
/// Bytes of a frame before its payload; frames start and end at multiples of it.
pub(crate) const FRAME_HEADER_LEN: u64 = 64;
/// The version that this crate writes, and the highest that it reads.
pub(crate) const VERSION: u32 = 1;

const SLOT_MAGIC: [u8; 8] = *b"ctbuffer";
const FRAME_MAGIC: [u8; 4] = *b"CTfr";
const KIND_RECORD: u32 = 1;
const KIND_FILLER: u32 = 2;
const FLAG_REPAIRING: u32 = 1;
const FLAG_ENTRY_SYNCED: u32 = 2;
const FLAG_JOURNAL: u32 = 4;
/// No counter of a real file comes near; a checksummed slot that says more was made up.
const MAX_COUNT: u64 = 1 << 62;

/// A stretch of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Extent {
    pub(crate) fn end(self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// What a header slot says: the whole truth about what is live in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) generation: u64,
    pub(crate) repairing: bool,
    pub(crate) entry_synced: bool,
    pub(crate) journal: bool,
    pub(crate) head: u64,
    pub(crate) tail: u64,
    pub(crate) wrap: u64,
    pub(crate) head_sequence: u64,
    pub(crate) next_sequence: u64,
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) head_event: u64,
    pub(crate) last_event: u64,
    pub(crate) file_id: u64,
    pub(crate) last_key: [u8; 16],
    pub(crate) metadata: [u8; 64],
    pub(crate) python: [Extent; 2],
}

/// What the two header slots of a file say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slots {
    /// The truth, and the index of the slot to write next.
    Clean(State, usize),
    /// The same, but the other slot is damaged and may have been the newer.
    OneDamaged(State, usize),
    /// Written by a later version of this crate.
    Newer(u32),
    /// Not a header of ours, or both are damaged.
    Neither,
}

/// The fixed part of a record frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) payload_len: u32,
    pub(crate) payload_checksum: u32,
    pub(crate) sequence: u64,
    pub(crate) event: u64,
    pub(crate) oldest_sequence: u64,
    pub(crate) key: [u8; 16],
}

/// A frame's fixed part, of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameHeader {
    Record(RecordHeader),
    /// So many bytes, its own 64 included, are to be skipped.
    Filler(u64),
}

impl RecordHeader {
    pub(crate) fn frame_len(&self) -> u64 {
        frame_len(u64::from(self.payload_len))
    }
}

/// The bytes that a record of `payload` bytes takes in the ring.
pub(crate) fn frame_len(payload: u64) -> u64 {
    align_up(payload.saturating_add(FRAME_HEADER_LEN))
}

/// The next multiple of a frame header's size.
pub(crate) fn align_up(offset: u64) -> u64 {
    align_down(offset.saturating_add(FRAME_HEADER_LEN - 1))
}

/// The last multiple of a frame header's size.
pub(crate) fn align_down(offset: u64) -> u64 {
    offset & !(FRAME_HEADER_LEN - 1)
}

/// The bytes of a record frame's fixed part, for the frame at `offset`.
pub(crate) fn encode_record(header: &RecordHeader, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(FRAME_MAGIC);
    bytes.extend(KIND_RECORD.to_le_bytes());
    bytes.extend(header.payload_len.to_le_bytes());
    bytes.extend(header.payload_checksum.to_le_bytes());
    bytes.extend(header.sequence.to_le_bytes());
    bytes.extend(header.event.to_le_bytes());
    bytes.extend(header.oldest_sequence.to_le_bytes());
    bytes.extend(header.key);
    seal_frame(bytes, offset)
}

/// The bytes of a filler's fixed part: `len` bytes at `offset`, a multiple of 64, are to be
/// skipped.
pub(crate) fn encode_filler(len: u64, offset: u64) -> Vec<u8> {
    let skipped = u32::try_from(len.saturating_sub(FRAME_HEADER_LEN)).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(FRAME_MAGIC);
    bytes.extend(KIND_FILLER.to_le_bytes());
    bytes.extend(skipped.to_le_bytes());
    seal_frame(bytes, offset)
}

fn seal_frame(mut bytes: Vec<u8>, offset: u64) -> Vec<u8> {
    bytes.resize(60, 0);
    let sum = frame_checksum(&bytes, offset);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn frame_checksum(covered: &[u8], offset: u64) -> u32 {
    checksum::of_header(&[covered, &offset.to_le_bytes()].concat())
}

/// The frame at `offset`, whose first 64 bytes are those of `bytes`; `None` if there is none.
pub(crate) fn decode_frame(bytes: &[u8], offset: u64) -> Option<FrameHeader> {
    let (covered, sum) = bytes.get(..64)?.split_at_checked(60)?;
    let mut fields = Fields(covered);
    if fields.take()? != FRAME_MAGIC || fields.end(sum)? != frame_checksum(covered, offset) {
        return None;
    }
    let kind = fields.u32()?;
    let payload_len = fields.u32()?;
    let payload_checksum = fields.u32()?;
    let record = RecordHeader {
        payload_len,
        payload_checksum,
        sequence: fields.u64()?,
        event: fields.u64()?,
        oldest_sequence: fields.u64()?,
        key: fields.take()?,
    };
    match kind {
        KIND_RECORD if record.sequence.max(record.event) < MAX_COUNT => {
            Some(FrameHeader::Record(record))
        }
        KIND_FILLER => Some(FrameHeader::Filler(frame_len(u64::from(payload_len)))),
        _ => None,
    }
}

impl State {
    /// A buffer with nothing in it.
    pub(crate) fn new(file_id: u64) -> Self {
        Self {
            generation: 0,
            repairing: false,
            entry_synced: false,
            journal: false,
            head: HEADER_LEN,
            tail: HEADER_LEN,
            wrap: 0,
            head_sequence: 0,
            next_sequence: 0,
            records: 0,
            events: 0,
            head_event: 0,
            last_event: 0,
            file_id,
            last_key: [0; 16],
            metadata: [0; 64],
            python: [Extent::default(); 2],
        }
    }

    /// The bytes of the slot.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT_LEN);
        bytes.extend(SLOT_MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        let sum = checksum::of_header(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes.extend(self.generation.to_le_bytes());
        bytes.extend(u64::from(self.flags()).to_le_bytes());
        for number in [
            self.head,
            self.tail,
            self.wrap,
            self.head_sequence,
            self.next_sequence,
            self.records,
            self.events,
            self.head_event,
            self.last_event,
            self.file_id,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.last_key);
        bytes.extend(self.metadata);
        for extent in self.python {
            bytes.extend(extent.offset.to_le_bytes());
            bytes.extend(extent.len.to_le_bytes());
        }
        bytes.resize(SLOT_LEN - 4, 0);
        let sum = checksum::of_header(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    fn flags(&self) -> u32 {
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        flag(self.repairing, FLAG_REPAIRING)
            | flag(self.entry_synced, FLAG_ENTRY_SYNCED)
            | flag(self.journal, FLAG_JOURNAL)
    }

    /// The state in a slot's bytes, if they are intact and make sense.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (covered, sum) = bytes.get(..SLOT_LEN)?.split_at_checked(SLOT_LEN - 4)?;
        if slot_version(bytes) != Some(VERSION)
            || Fields(&[]).end(sum)? != checksum::of_header(covered)
        {
            return None;
        }
        let mut fields = Fields(covered.get(16..)?);
        let generation = fields.u64()?;
        let flags = fields.u32()?;
        fields.u32()?;
        let state = Self {
            generation,
            repairing: flags & FLAG_REPAIRING != 0,
            entry_synced: flags & FLAG_ENTRY_SYNCED != 0,
            journal: flags & FLAG_JOURNAL != 0,
            head: fields.u64()?,
            tail: fields.u64()?,
            wrap: fields.u64()?,
            head_sequence: fields.u64()?,
            next_sequence: fields.u64()?,
            records: fields.u64()?,
            events: fields.u64()?,
            head_event: fields.u64()?,
            last_event: fields.u64()?,
            file_id: fields.u64()?,
            last_key: fields.take()?,
            metadata: fields.take()?,
            python: [fields.extent()?, fields.extent()?],
        };
        state.makes_sense().then_some(state)
    }

    /// What every state that this crate writes has in common. A checksum does not keep a made-up
    /// slot out; this does.
    pub(crate) fn makes_sense(&self) -> bool {
        let in_ring =
            |offset: u64| (HEADER_LEN..MAX_COUNT).contains(&offset) && align_down(offset) == offset;
        let [first, second] = self.python;
        in_ring(self.head)
            && in_ring(self.tail)
            && (self.wrap == 0 && self.head <= self.tail
                || in_ring(self.wrap) && self.tail <= self.head && self.head <= self.wrap)
            && self.generation < MAX_COUNT
            && self.next_sequence < MAX_COUNT
            && self.head_event <= self.last_event
            && self.last_event < MAX_COUNT
            && self.records <= self.next_sequence.saturating_sub(self.head_sequence)
            && self.events <= self.records
            && (self.events == 0) == (self.records == 0)
            && [first, second].iter().all(|extent| {
                extent.len == 0 || extent.offset >= HEADER_LEN && extent.end() < MAX_COUNT
            })
    }
}

/// The version in a slot's first 16 bytes, which every version lays out alike; `None` if they are
/// not such a slot's.
fn slot_version(bytes: &[u8]) -> Option<u32> {
    let mut fields = Fields(bytes);
    let magic: [u8; 8] = fields.take()?;
    let version = fields.u32()?;
    let sum = fields.u32()?;
    (magic == SLOT_MAGIC && sum == checksum::of_header(bytes.get(..12)?)).then_some(version)
}

/// What the first [`SLOTS_LEN`] bytes of a file (or all that it has) say.
pub(crate) fn read_slots(bytes: &[u8]) -> Slots {
    let slots = [bytes, bytes.get(4096..).unwrap_or_default()];
    if let Some(version) =
        slots.iter().filter_map(|slot| slot_version(slot)).find(|version| *version > VERSION)
    {
        return Slots::Newer(version);
    }
    let [a, b] = slots;
    match (State::decode(a), State::decode(b)) {
        (None, None) => Slots::Neither,
        (Some(a), Some(b)) if a.generation > b.generation => Slots::Clean(a, 1),
        (Some(_), Some(b)) => Slots::Clean(b, 0),
        (Some(a), None) => Slots::OneDamaged(a, 1),
        (None, Some(b)) => Slots::OneDamaged(b, 0),
    }
}

/// Whether somebody began to write a second slot into a file that has none: the beginning of it is
/// there.
pub(crate) fn has_begun_slot(beginning: &[u8]) -> bool {
    beginning.get(4096..).is_some_and(|slot| slot_version(slot).is_some())
}

/// Whether a short file can be a buffer that was cut off within its first slot.
pub(crate) fn is_beginning_of_slot(bytes: &[u8]) -> bool {
    let len = bytes.len().min(SLOT_MAGIC.len());
    bytes.get(..len) == SLOT_MAGIC.get(..len)
}

/// Fixed-size fields taken off the front of a byte string.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn extent(&mut self) -> Option<Extent> {
        Some(Extent { offset: self.u64()?, len: self.u64()? })
    }

    /// The checksum that stands behind what it covers.
    #[expect(clippy::unused_self, reason = "reads like the other fields")]
    fn end(&self, sum: &[u8]) -> Option<u32> {
        Some(u32::from_le_bytes(*sum.first_chunk()?))
    }
}
