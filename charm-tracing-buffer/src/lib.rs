#![doc = include_str!("../README.md")]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
//!
//! # How it is built
//!
//! `lib.rs` is the policy: caps, order, eviction. `frame.rs` is the byte format and its
//! specification, `ring.rs` the arithmetic of where frames lie, [`store`] the medium. `walk.rs`
//! reads, `commit.rs` writes. `repair.rs`, `shrink.rs` and `python.rs` do the three rare jobs:
//! taking damage out, making a file smaller, taking a Python buffer over.

mod checksum;
mod commit;
mod error;
mod frame;
mod python;
mod repair;
mod ring;
mod shrink;
pub mod store;
mod walk;

use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use crate::error::Fault;
pub use crate::error::{Error, Operation, Reason};
use crate::frame::{FRAME_HEADER_LEN, HEADER_LEN, RecordHeader, SLOTS_LEN, Slots, State};
use crate::store::{FileStore, Missing, Presence, Store};
pub use crate::walk::Iter;

/// The largest `max_bytes`; a frame's length has to fit into 32 bits.
const LARGEST_MAX_BYTES: u64 = u32::MAX as u64;
/// The smallest `max_bytes`.
const SMALLEST_MAX_BYTES: u64 = 64 << 10;
/// What is read or copied at a time when whole records need not be in memory.
const CHUNK: usize = 16 << 10;
static ZEROES: [u8; CHUNK] = [0; CHUNK];

/// Which event a record belongs to: consecutive records of one key are one event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey(pub [u8; 16]);

/// What a record survives, once `push` has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power, and with it everything less. Costs one sync a push.
    ///
    /// The medium is assumed to keep what a successful sync covered, and not to damage other
    /// 4096-byte pages than the one being written. Unsynced writes may be lost, torn and reordered.
    #[default]
    Sync,
    /// The end of the process, however violent, but not loss of power: for that, [`Buffer::sync`]
    /// after as many operations as one likes.
    Process,
}

/// How a buffer is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many events are kept; past that the oldest go. 0 switches the buffer off: nothing is
    /// read or written, an existing file is left alone, and every record pushed counts as evicted
    /// at once. Default 100.
    pub max_events: u64,
    /// How many bytes the file may have, at any moment; past that the oldest events go. From 64 KiB
    /// to 4 GiB less one byte, default 10 MiB.
    pub max_bytes: u64,
    /// What a record survives. Default [`Durability::Sync`].
    pub durability: Durability,
    /// How long an operation waits for other processes and threads. Default 250 ms.
    pub lock_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_events: 100,
            max_bytes: 10 << 20,
            durability: Durability::Sync,
            lock_timeout: Duration::from_millis(250),
        }
    }
}

/// What had to go for a record to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pushed {
    /// How many events were evicted as a whole.
    pub evicted_events: u64,
    /// How many records were evicted.
    pub evicted_records: u64,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Len {
    /// How many events.
    pub events: u64,
    /// How many records.
    pub records: u64,
}

/// What this handle found amiss so far: at opening and since.
///
/// Opening does not read payloads. A record whose payload is damaged is therefore found, and
/// counted here, when it is first read, by [`Buffer::peek`] or [`Buffer::iter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Records that were stored and are damaged beyond use. At least so many, if the header was
    /// lost too.
    pub lost_records: u64,
    /// Events of which no record is left.
    pub lost_events: u64,
    /// The header was lost and rebuilt from the records. The metadata is zero again; records that
    /// were acknowledged may come again.
    pub header_rebuilt: bool,
    /// A file that was not a buffer was in the way and is now called `<name>.foreign`.
    pub moved_aside: bool,
    /// Events that went because the file was written under larger caps.
    pub evicted_events: u64,
    /// The records of those events.
    pub evicted_records: u64,
}

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The event it belongs to.
    pub event: EventKey,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The oldest records of a buffer, as [`Buffer::peek`] found them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    records: Vec<Record>,
    sequences: Vec<u64>,
    file_id: u64,
    /// What was live behind the records.
    rest: Option<State>,
}

impl Batch {
    /// The records, oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there was nothing to peek.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// A capped queue of byte records in one file.
///
/// Any number of handles, in one process or in many, may use the same file at once; each operation
/// locks it for as long as it takes. A file that is deleted or replaced while a handle is open is
/// noticed: the next operation works on what is at the path then.
pub struct Buffer<S = FileStore> {
    store: S,
    options: Options,
    recovery: Recovery,
    /// What is live, read anew whenever the lock is taken.
    state: State,
    /// The header slot that is written next.
    spare: usize,
    /// The file's length.
    file_len: u64,
    /// The file is in the Python library's format; `state` is what it will be.
    unimported: bool,
    /// What was read along with a payload: the bytes of the frame behind it, and where that is.
    ahead: Option<(u64, [u8; 64])>,
}

impl Buffer {
    /// Opens the buffer at `path`. A missing file is no error, and is not created before there is
    /// something to write.
    ///
    /// Damage is no error either: what is intact is kept, what was lost is in [`Buffer::recovery`].
    /// Cost does not depend on how much is stored.
    ///
    /// # Errors
    ///
    /// [`Reason::NotAFile`], [`Reason::NewerVersion`], [`Reason::Locked`],
    /// [`Reason::InvalidMaxBytes`], or what the operating system says, for example when the file
    /// cannot be written.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("buffer-open-{}", std::process::id()));
    /// # let path = directory.join("queue");
    /// use charm_tracing_buffer::{Buffer, Options};
    ///
    /// let mut buffer = Buffer::open(&path, Options { max_events: 42, ..Options::default() })?;
    /// assert_eq!(buffer.len()?.records, 0);
    /// assert_eq!(buffer.recovery().lost_records, 0);
    /// assert!(!path.exists(), "nothing was written yet");
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        Self::open_in(FileStore::new(path.as_ref()), options)
    }

    /// Whether there is nothing in the buffer at `path`: one `stat`, no lock.
    ///
    /// It never misses a record of a buffer of this crate, and can say `false` of an empty one
    /// after a crash. (A file of the Python library with exactly 8192 bytes would pass for empty.)
    ///
    /// # Errors
    ///
    /// [`Reason::NotAFile`], or what the operating system says. A missing file is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(charm_tracing_buffer::Buffer::is_empty("/tmp/there/is/no/such/file")?);
    /// # Ok::<(), charm_tracing_buffer::Error>(())
    /// ```
    pub fn is_empty(path: impl AsRef<Path>) -> Result<bool, Error> {
        let path = path.as_ref();
        FileStore::is_empty(path).map_err(|reason| Error::new(Operation::Open, path, reason))
    }
}

impl<S: Store> Buffer<S> {
    /// Opens the buffer in a medium of one's own; otherwise like [`Buffer::open`].
    ///
    /// # Errors
    ///
    /// Those of [`Buffer::open`].
    pub fn open_in(store: S, options: Options) -> Result<Self, Error> {
        let mut buffer = Self {
            store,
            options,
            recovery: Recovery::default(),
            state: State::new(0),
            spare: 0,
            file_len: 0,
            unimported: false,
            ahead: None,
        };
        if !(SMALLEST_MAX_BYTES..=LARGEST_MAX_BYTES).contains(&options.max_bytes) {
            let reason = Reason::InvalidMaxBytes(options.max_bytes);
            return Err(Error::new(Operation::Open, buffer.store.path(), reason));
        }
        if !buffer.is_off() {
            buffer.locked(Operation::Open, Missing::Report, Self::enforce_caps_at_open)?;
        }
        Ok(buffer)
    }

    /// Appends a record. When this returns, the record survives what [`Options::durability`] says.
    ///
    /// Records of the event that is already the newest join it. Whole events go, oldest first,
    /// until the caps hold and, if the record is not larger than a sixteenth of the buffer, until
    /// another one of its length would fit. An event that alone outgrows the buffer loses its
    /// oldest records.
    ///
    /// # Errors
    ///
    /// [`Reason::RecordTooLarge`], [`Reason::Locked`], those of [`Buffer::open`], or what the
    /// operating system says. The record is then not stored. Nothing else is lost, but for events
    /// that had to be evicted before this record, larger than those before it, could be written.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("buffer-push-{}", std::process::id()));
    /// # let path = directory.join("queue");
    /// use charm_tracing_buffer::{Buffer, EventKey, Options};
    ///
    /// let mut buffer = Buffer::open(&path, Options { max_events: 1, ..Options::default() })?;
    /// buffer.push(EventKey([1; 16]), b"the first event")?;
    /// buffer.push(EventKey([1; 16]), b"goes on")?;
    /// let pushed = buffer.push(EventKey([2; 16]), b"the second event")?;
    /// assert_eq!((pushed.evicted_events, pushed.evicted_records), (1, 2));
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn push(&mut self, event: EventKey, bytes: &[u8]) -> Result<Pushed, Error> {
        if self.is_off() {
            return Ok(Pushed { evicted_events: 1, evicted_records: 1 });
        }
        let payload_len = self
            .require_fits(bytes)
            .map_err(|reason| Error::new(Operation::Push, self.store.path(), reason))?;
        self.locked(Operation::Push, Missing::Create, |buffer| {
            buffer.push_locked(event, bytes, payload_len)
        })
    }

    /// Reads the oldest records: as many as have no more than `byte_budget` bytes together, but at
    /// least one if there is any. They stay stored until they are acknowledged.
    ///
    /// # Errors
    ///
    /// [`Reason::Locked`], those of [`Buffer::open`], or what the operating system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("buffer-peek-{}", std::process::id()));
    /// # let path = directory.join("queue");
    /// # use charm_tracing_buffer::{Buffer, EventKey, Options};
    /// let mut buffer = Buffer::open(&path, Options::default())?;
    /// for bytes in [b"one", b"two", b"six"] {
    ///     buffer.push(EventKey([1; 16]), bytes)?;
    /// }
    /// let batch = buffer.peek(7)?;
    /// assert_eq!(batch.records()[1].bytes, b"two");
    /// assert_eq!(batch.len(), 2);
    /// buffer.acknowledge_first(&batch, 1)?;
    /// assert_eq!(buffer.len()?.records, 2);
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn peek(&mut self, byte_budget: usize) -> Result<Batch, Error> {
        self.reading(Batch::default(), |buffer| buffer.peek_locked(byte_budget))
    }

    /// Removes all records of `batch`: they were delivered.
    ///
    /// # Errors
    ///
    /// [`Reason::StaleBatch`], [`Reason::Locked`], those of [`Buffer::open`], or what the operating
    /// system says. Nothing was removed then.
    pub fn acknowledge(&mut self, batch: &Batch) -> Result<(), Error> {
        self.acknowledge_first(batch, batch.len())
    }

    /// Removes the first `count` records of `batch`. Those that were evicted or acknowledged in the
    /// meantime are gone already, which is no error.
    ///
    /// # Errors
    ///
    /// Those of [`Buffer::acknowledge`].
    pub fn acknowledge_first(&mut self, batch: &Batch, count: usize) -> Result<(), Error> {
        let Some(last) = batch.sequences.iter().take(count).next_back().copied() else {
            return Ok(());
        };
        if self.is_off() {
            return Ok(());
        }
        self.locked(Operation::Acknowledge, Missing::Report, |buffer| {
            buffer.acknowledge_locked(batch, last)
        })
    }

    /// How many events and records are stored.
    ///
    /// # Errors
    ///
    /// Those of [`Buffer::peek`].
    pub fn len(&mut self) -> Result<Len, Error> {
        self.reading(Len::default(), |buffer| {
            Ok(Len { events: buffer.state.events, records: buffer.state.records })
        })
    }

    /// How many bytes the file has; never more than [`Options::max_bytes`].
    ///
    /// # Errors
    ///
    /// Those of [`Buffer::peek`].
    pub fn bytes(&mut self) -> Result<u64, Error> {
        self.reading(0, |buffer| Ok(buffer.file_len))
    }

    /// Reads all records that are stored now, oldest first, one at a time. Other handles go on in
    /// between: records that they acknowledge or evict are left out, and a file that is replaced
    /// ends it.
    ///
    /// # Errors
    ///
    /// Each item can be one of those of [`Buffer::peek`]; it is then the last.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("buffer-iter-{}", std::process::id()));
    /// # let path = directory.join("queue");
    /// # use charm_tracing_buffer::{Buffer, EventKey, Options};
    /// let mut buffer = Buffer::open(&path, Options::default())?;
    /// buffer.push(EventKey([1; 16]), b"one")?;
    /// for record in buffer.iter() {
    ///     assert_eq!(record?.bytes, b"one");
    /// }
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&mut self) -> Iter<'_, S> {
        Iter::new(self)
    }

    /// The caller's 64 bytes, zero until they are set. They live as long as the file.
    ///
    /// # Errors
    ///
    /// Those of [`Buffer::peek`].
    pub fn metadata(&mut self) -> Result<[u8; 64], Error> {
        self.reading([0; 64], |buffer| Ok(buffer.state.metadata))
    }

    /// Sets the caller's 64 bytes, with the durability of a push.
    ///
    /// # Errors
    ///
    /// [`Reason::Locked`], those of [`Buffer::open`], or what the operating system says. The former
    /// bytes stay then.
    pub fn set_metadata(&mut self, metadata: [u8; 64]) -> Result<(), Error> {
        if self.is_off() {
            return Ok(());
        }
        self.locked(Operation::SetMetadata, Missing::Create, |buffer| {
            buffer.import_if_needed()?;
            Ok(buffer.commit(State { metadata, ..buffer.state })?)
        })
    }

    /// Makes durable what was done to the file until now, by whichever handle: what
    /// [`Durability::Process`] leaves out, for many operations at once.
    ///
    /// # Errors
    ///
    /// [`Reason::Locked`], those of [`Buffer::open`], or what the operating system says. What was
    /// done is done all the same, but may not survive a loss of power; nor is that certain after a
    /// later success, for systems forget what they failed to write.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = std::env::temp_dir().join(format!("buffer-sync-{}", std::process::id()));
    /// # let path = directory.join("queue");
    /// use charm_tracing_buffer::{Buffer, Durability, EventKey, Options};
    ///
    /// let options = Options { durability: Durability::Process, ..Options::default() };
    /// let mut buffer = Buffer::open(&path, options)?;
    /// buffer.push(EventKey([1; 16]), b"one")?;
    /// buffer.push(EventKey([1; 16]), b"two")?;
    /// buffer.sync()?;
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync(&mut self) -> Result<(), Error> {
        if self.is_off() {
            return Ok(());
        }
        self.locked(Operation::Sync, Missing::Report, |buffer| Ok(buffer.sync_all()?))
    }

    /// What was found amiss so far.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    fn is_off(&self) -> bool {
        self.options.max_events == 0
    }

    /// The end of the ring.
    fn end(&self) -> u64 {
        frame::align_down(self.options.max_bytes)
    }
}

/// What happens under the lock.
impl<S: Store> Buffer<S> {
    fn reading<T>(
        &mut self,
        off: T,
        read: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        if self.is_off() {
            return Ok(off);
        }
        self.locked(Operation::Read, Missing::Report, read)
    }

    fn locked<T>(
        &mut self,
        operation: Operation,
        missing: Missing,
        work: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let result = self.lock_and_load(missing).and_then(|()| self.repairing(work));
        self.store.unlock();
        result.map_err(|reason| Error::new(operation, self.store.path(), reason))
    }

    fn lock_and_load(&mut self, missing: Missing) -> Result<(), Reason> {
        // What is moved aside may be replaced by another stranger at once, but not for ever.
        for _ in 0..8 {
            match self.store.lock(missing, self.options.lock_timeout)? {
                Presence::Locked if self.load()? => return Ok(()),
                Presence::Locked => {}
                Presence::Missing => {
                    self.adopt(State::new(0), 0);
                    self.file_len = 0;
                    return Ok(());
                }
            }
        }
        Err(Reason::Locked(self.options.lock_timeout))
    }

    /// Reads the header; `false` if the file was moved aside or made readable, and all has to begin
    /// again.
    fn load(&mut self) -> Result<bool, Reason> {
        self.ahead = None;
        self.file_len = self.store.file_len()?;
        if self.file_len == 0 {
            let id = self.store.fresh_id();
            self.adopt(State::new(id), 0);
            return Ok(true);
        }
        let mut header = [0; SLOTS_LEN];
        let read = self.store.read_at(0, &mut header)?;
        let header = header.get(..read).unwrap_or_default();
        match frame::read_slots(header) {
            Slots::Clean(state, spare) => self.adopt(state, spare),
            Slots::OneDamaged(state, spare) => {
                self.adopt(state, spare);
                self.take_in_newer()?;
            }
            Slots::Newer(version) => return Err(Reason::NewerVersion(version)),
            Slots::Neither => return self.load_without_header(header),
        }
        if self.state.repairing || self.file_len < self.state.extent() {
            self.repair()?;
        }
        Ok(true)
    }

    fn adopt(&mut self, state: State, spare: usize) {
        self.state = state;
        self.spare = spare;
        self.unimported = false;
    }

    /// Does the work, and again after a repair if it came upon damage.
    fn repairing<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Reason> {
        for _ in 0..3 {
            match work(self) {
                // There is nothing to repair in a file that is not ours yet.
                Err(Fault::Damage) if self.unimported => break,
                Err(Fault::Damage) => self.repair()?,
                Err(Fault::Reason(reason)) => return Err(reason),
                Ok(done) => return Ok(done),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "its content changes while it is read")
            .into())
    }

    fn push_locked(
        &mut self,
        event: EventKey,
        bytes: &[u8],
        payload_len: u32,
    ) -> Result<Pushed, Fault> {
        let before = self.state;
        self.enforce_caps()?;
        self.import_if_needed()?;
        if self.state.journal {
            // What is left of it counts, and the file is about to grow.
            self.store.remove_journal()?;
        }
        let len = frame::frame_len(bytes.len() as u64);
        let at = self.make_room(event, len)?;
        let mut next = self.state;
        let mut header = RecordHeader {
            payload_len,
            payload_checksum: checksum::of_payload(bytes),
            sequence: next.next_sequence,
            event: next.event_for(event.0),
            oldest_sequence: 0,
            key: event.0,
        };
        let began = u64::from(next.records == 0 || header.event != next.last_event);
        next.append(&header, at);
        self.evict_behind(&mut next, len)?;
        header.oldest_sequence = next.head_sequence;
        let file_len = self.write_frame(at, &header, bytes)?;
        if let Err(reason) = self.commit(next) {
            self.undo_frame(at);
            return Err(reason.into());
        }
        self.file_len = file_len;
        Ok(Pushed {
            evicted_events: before.events.saturating_add(began).saturating_sub(next.events),
            evicted_records: before.records.saturating_add(1).saturating_sub(next.records),
        })
    }

    fn require_fits(&self, bytes: &[u8]) -> Result<u32, Reason> {
        let limit = self.end().saturating_sub(HEADER_LEN).saturating_sub(FRAME_HEADER_LEN);
        let too_large = Reason::RecordTooLarge { bytes: bytes.len() as u64, limit };
        match u32::try_from(bytes.len()) {
            Ok(len) if u64::from(len) <= limit => Ok(len),
            _ => Err(too_large),
        }
    }

    /// Where a frame of `len` bytes can go. Evicts, durably, only what lies in the way of a record
    /// that is larger than those before it.
    fn make_room(&mut self, event: EventKey, len: u64) -> Result<u64, Fault> {
        let mut next = self.state;
        loop {
            if let Some(at) = next.place(len, self.end()) {
                if next.records != self.state.records {
                    self.commit(next)?;
                }
                return Ok(at);
            }
            if next.events == 1 && next.event_for(event.0) == next.last_event {
                self.evict_record(&mut next)?;
            } else {
                self.evict_event(&mut next, Newest::Stored)?;
            }
        }
    }

    /// Evicts what the caps demand once the newest record of `next`, of `len` bytes, is written,
    /// and what leaves room for another. For a large record no room is left: that would cost too
    /// much of the buffer.
    fn evict_behind(&mut self, next: &mut State, len: u64) -> Result<(), Fault> {
        let end = self.end();
        let len = if len <= end / 16 { len } else { 0 };
        while next.events > self.options.max_events
            || next.events > 1 && next.place(len, end).is_none()
        {
            self.evict_event(next, Newest::Unwritten)?;
        }
        Ok(())
    }

    fn evict_record(&mut self, next: &mut State) -> Result<(), Fault> {
        if let Some(first) = self.front(next)? {
            first.remove_from(next);
            self.front(next)?;
        }
        Ok(())
    }

    /// Takes the oldest event off the front of `next`.
    fn evict_event(&mut self, next: &mut State, newest: Newest) -> Result<(), Fault> {
        let Some(mut oldest) = self.front(next)? else {
            return Ok(());
        };
        let event = oldest.event;
        while oldest.event == event {
            oldest.remove_from(next);
            if next.records == 1 && newest == Newest::Unwritten {
                next.front_event(next.last_event);
                return Ok(());
            }
            match self.front(next)? {
                Some(following) => oldest = following,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn peek_locked(&mut self, byte_budget: usize) -> Result<Batch, Fault> {
        let mut batch = Batch { file_id: self.state.file_id, ..Batch::default() };
        let mut rest = self.state;
        let mut budget = byte_budget as u64;
        while let Some(front) = self.front(&mut rest)? {
            if front.len > budget && !batch.is_empty() {
                break;
            }
            budget = budget.saturating_sub(front.len);
            batch.records.push(self.read(&rest, &front)?);
            batch.sequences.push(front.sequence);
            front.remove_from(&mut rest);
        }
        batch.rest = Some(rest);
        Ok(batch)
    }

    fn acknowledge_locked(&mut self, batch: &Batch, last: u64) -> Result<(), Fault> {
        if self.state.file_id != batch.file_id {
            return Err(Reason::StaleBatch.into());
        }
        if self.state.records == 0 || self.state.head_sequence > last {
            return Ok(());
        }
        self.import_if_needed()?;
        let next = self.state_behind(batch, last)?;
        self.commit(next)?;
        self.cut_if_empty();
        Ok(())
    }

    /// What is live behind the record number `last` of `batch`.
    fn state_behind(&mut self, batch: &Batch, last: u64) -> Result<State, Fault> {
        let mut next = self.state;
        if let Some(rest) = batch.rest
            && rest.generation == next.generation
            && batch.sequences.last() == Some(&last)
        {
            // Nothing has changed since it was peeked.
            next = rest;
        }
        while let Some(front) = self.front(&mut next)? {
            if front.sequence > last {
                break;
            }
            front.remove_from(&mut next);
        }
        Ok(next)
    }

    /// An empty buffer is a short file. Should the cut fail, or be lost, then the next open does
    /// it.
    fn cut_if_empty(&mut self) {
        if self.state.records == 0
            && self.file_len > HEADER_LEN
            && self.store.set_len(HEADER_LEN).is_ok()
        {
            self.file_len = HEADER_LEN;
        }
    }

    /// Evicts what is too much for the caps of this handle, and cuts the file to its size.
    fn enforce_caps(&mut self) -> Result<(), Fault> {
        if self.unimported {
            return Ok(());
        }
        let mut next = self.state;
        while next.events > self.options.max_events {
            self.evict_event(&mut next, Newest::Stored)?;
        }
        if next.events != self.state.events {
            self.commit(next)?;
        }
        if self.state.extent() > self.end() {
            self.shrink()?;
        }
        if self.file_len > self.options.max_bytes {
            self.set_len(self.state.extent())?;
        }
        self.cut_if_empty();
        Ok(())
    }

    fn enforce_caps_at_open(&mut self) -> Result<(), Fault> {
        let before = self.state;
        self.enforce_caps()?;
        let events = before.events.saturating_sub(self.state.events);
        let records = before.records.saturating_sub(self.state.records);
        self.recovery.evicted_events = self.recovery.evicted_events.saturating_add(events);
        self.recovery.evicted_records = self.recovery.evicted_records.saturating_add(records);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.store.set_len(len)?;
        self.file_len = len;
        Ok(())
    }
}

/// Whether the newest record of a state is already in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newest {
    Stored,
    Unwritten,
}

impl<S> fmt::Debug for Buffer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("options", &self.options)
            .field("events", &self.state.events)
            .field("records", &self.state.records)
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventKey({:032x})", u128::from_be_bytes(self.0))
    }
}

/// A length to allocate; where it does not fit, allocating fails as it should.
fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
