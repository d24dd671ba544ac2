//! What is written, in which order, and how it is taken back when that fails. Every change of a
//! buffer goes through [`Buffer::commit`]: until a slot is written, and synced if that was
//! promised, nothing has happened.

use std::io;

use crate::error::Reason;
use crate::frame::{
    self, FRAME_HEADER_LEN, HEADER_LEN, RecordHeader, SLOT_LEN, SLOT_OFFSETS, State,
};
use crate::store::Store;
use crate::{Buffer, CHUNK, Durability, ZEROES, to_usize};

/// A file grows by zeroes in such steps: to write over them later costs half of what growing the
/// file costs.
const GROWTH: u64 = 64 << 10;
/// Up to this length a frame is put together in memory and written at once.
const ONE_WRITE: usize = 48 << 10;

impl<S: Store> Buffer<S> {
    /// Writes a frame into free space, where nobody sees it before the next [`Buffer::commit`], and
    /// says how long the file is now.
    pub(crate) fn write_frame(
        &mut self,
        at: u64,
        header: &RecordHeader,
        bytes: &[u8],
    ) -> Result<u64, Reason> {
        if let Err(error) = self.write_frame_bytes(at, header, bytes) {
            self.undo_frame(at);
            return Err(error.into());
        }
        Ok(self.grow(at.saturating_add(header.frame_len())))
    }

    fn write_frame_bytes(
        &mut self,
        at: u64,
        header: &RecordHeader,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut fixed = frame::encode_record(header, at);
        let padded = to_usize(header.frame_len());
        if bytes.len() <= ONE_WRITE {
            fixed.reserve_exact(padded.saturating_sub(fixed.len()));
            fixed.extend_from_slice(bytes);
            fixed.resize(padded, 0);
            return self.store.write_at(at, &fixed);
        }
        let payload = at.saturating_add(FRAME_HEADER_LEN);
        let padding = padded.saturating_sub(fixed.len()).saturating_sub(bytes.len());
        self.store.write_at(at, &fixed)?;
        self.store.write_at(payload, bytes)?;
        self.store.write_at(
            payload.saturating_add(bytes.len() as u64),
            ZEROES.get(..padding).unwrap_or_default(),
        )
    }

    /// Writes zeroes behind `end`, if the file ends there, and says where it ends then.
    fn grow(&mut self, end: u64) -> u64 {
        let wanted = end.saturating_add(GROWTH).min(self.end());
        let mut reached = end;
        // A first record may soon be delivered, and the only one.
        let is_worth_it = self.state.records > 0;
        if end <= self.file_len || !is_worth_it {
            return end.max(self.file_len);
        }
        while reached < wanted {
            let step = usize::try_from(wanted.saturating_sub(reached))
                .map_or(CHUNK, |left| left.min(CHUNK));
            if self.store.write_at(reached, ZEROES.get(..step).unwrap_or_default()).is_err() {
                // To grow is a favour to later pushes; when there is no space for it, this one does
                // without.
                let _ = self.store.set_len(reached);
                break;
            }
            reached = reached.saturating_add(step as u64);
        }
        reached
    }

    /// Makes `next` the truth: one write to the spare slot and, for [`Durability::Sync`], one sync.
    /// If that fails, the former truth stays.
    pub(crate) fn commit(&mut self, next: State) -> Result<(), Reason> {
        // Nothing tells whether bytes of a Python file are still what they were: that they are not
        // live any more must be durable before they are overwritten.
        let durability =
            if self.state.has_python() { Durability::Sync } else { self.options.durability };
        self.commit_as(next, durability)
    }

    /// Makes all that was written durable, and the file's being there.
    pub(crate) fn sync_all(&mut self) -> Result<(), Reason> {
        if self.file_len == 0 {
            return Ok(());
        }
        if self.unimported || self.state.entry_synced {
            return Ok(self.store.sync()?);
        }
        self.commit_as(self.state, Durability::Sync)
    }

    fn commit_as(&mut self, mut next: State, durability: Durability) -> Result<(), Reason> {
        if self.state.journal {
            self.store.remove_journal()?;
            next.journal = false;
        }
        if durability == Durability::Sync && !next.entry_synced {
            self.store.sync_entry()?;
            next.entry_synced = true;
        }
        next.generation = self.state.generation.saturating_add(1);
        debug_assert!(next.makes_sense(), "it would be refused when read: {next:?}");
        let slot = next.encode();
        let written = self.write_slot(&slot, next.generation);
        if let Err(error) = written.and_then(|()| self.sync_as(durability)) {
            self.undo_slot(next.generation);
            return Err(error.into());
        }
        self.adopt(next, if next.generation == 1 { 0 } else { 1_usize.saturating_sub(self.spare) });
        self.file_len = self.file_len.max(HEADER_LEN);
        Ok(())
    }

    /// The first state of a file goes into both slots, so that there is always a second one.
    fn write_slot(&mut self, slot: &[u8], generation: u64) -> io::Result<()> {
        for (index, offset) in SLOT_OFFSETS.into_iter().enumerate() {
            if index == self.spare || generation == 1 {
                self.store.write_at(offset, slot)?;
            }
        }
        if self.file_len < HEADER_LEN && self.store.file_len()? < HEADER_LEN {
            self.store.set_len(HEADER_LEN)?;
        }
        Ok(())
    }

    pub(crate) fn sync_as(&mut self, durability: Durability) -> io::Result<()> {
        match durability {
            Durability::Sync => self.store.sync(),
            Durability::Process => Ok(()),
        }
    }

    /// Takes a slot back that could not be written or synced. An error is being reported already,
    /// and the disk may be beyond help: what cannot be zeroed is at worst an operation that has
    /// happened although it was said to have failed.
    fn undo_slot(&mut self, generation: u64) {
        let blank = ZEROES.get(..SLOT_LEN).unwrap_or_default();
        let _ = self.write_slot(blank, generation).and_then(|()| self.cut_back());
    }

    /// The same for a frame.
    pub(crate) fn undo_frame(&mut self, at: u64) {
        let blank = ZEROES.get(..64).unwrap_or_default();
        let _ = self.store.write_at(at, blank).and_then(|()| self.cut_back());
    }

    /// Cuts off what a failed operation has added to the file.
    fn cut_back(&mut self) -> io::Result<()> {
        if self.store.file_len()? > self.file_len {
            self.store.set_len(self.file_len)
        } else {
            Ok(())
        }
    }
}
