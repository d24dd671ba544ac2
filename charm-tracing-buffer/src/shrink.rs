//! Making a file smaller than its live records allow where they lie: frames move down within the
//! file, into free space. Nothing is copied outside of it, so that it never takes more space than
//! before. A copy is synced, and named by the header, before its original is overwritten; whatever
//! a crash leaves, each frame is intact in one place at least, and a repair finds it.

use crate::error::Fault;
use crate::frame::{self, FrameHeader, HEADER_LEN, State};
use crate::store::Store;
use crate::{Buffer, Newest};

/// A stretch of frames, and how far down it is to go.
struct Move {
    from: u64,
    until: u64,
    to: u64,
}

impl Move {
    /// The oldest stretch of a state, and the free bytes below it.
    fn of(state: &State) -> Self {
        let to = if state.wrap == 0 { HEADER_LEN } else { state.tail };
        Self { from: state.head, until: state.stretch_end(), to }
    }

    fn distance(&self) -> u64 {
        self.from.saturating_sub(self.to)
    }
}

impl<S: Store> Buffer<S> {
    /// Makes all that is live lie before the ring's end, evicting what does not fit.
    pub(crate) fn shrink(&mut self) -> Result<(), Fault> {
        if self.state.has_python() && self.state.head == self.state.tail && self.state.wrap == 0 {
            return self.shrink_python();
        }
        let mut next = self.state;
        // Frames behind bytes of the Python file cannot be moved past them.
        while next.has_python() && next.records > 0 {
            self.evict_event(&mut next, Newest::Stored)?;
        }
        while next.extent() > self.end() && !self.can_move(&mut next)? {
            self.evict_event(&mut next, Newest::Stored)?;
        }
        if next != self.state {
            self.commit(next)?;
            self.store.sync()?;
        }
        if self.state.extent() > self.end() {
            self.move_frames_down()?;
        }
        self.set_len(self.state.extent())?;
        Ok(())
    }

    fn shrink_python(&mut self) -> Result<(), Fault> {
        let mut next = self.state;
        while !self.is_moving_python() && next.records > 0 && !self.can_move_python(&next) {
            self.evict_event(&mut next, Newest::Stored)?;
        }
        if next != self.state {
            self.commit(next)?;
            self.store.sync()?;
        }
        self.move_python_down()
    }

    fn can_move_python(&self, state: &State) -> bool {
        let [first, second] = state.python;
        first.len == 0 && self.can_stay(second)
    }

    /// Whether moving the oldest stretch down brings `state` before the ring's end, and every frame
    /// of it fits into the free bytes, so that none has to overwrite itself.
    fn can_move(&mut self, state: &mut State) -> Result<bool, Fault> {
        if self.front(state)?.is_none() {
            return Ok(false);
        }
        let plan = Move::of(state);
        if plan.until.saturating_sub(plan.distance()) > self.end()
            || state.wrap != 0 && state.tail > self.end()
        {
            return Ok(false);
        }
        let mut at = plan.from;
        while at < plan.until {
            let len = self.len_at(at)?;
            if len > plan.distance() && self.frame_at(at)?.is_some_and(|frame| !is_filler(&frame)) {
                return Ok(false);
            }
            at = at.saturating_add(len);
        }
        Ok(true)
    }

    fn len_at(&mut self, at: u64) -> Result<u64, Fault> {
        match self.frame_at(at)? {
            Some(FrameHeader::Record(header)) => Ok(header.frame_len()),
            Some(FrameHeader::Filler(len)) => Ok(len),
            None => Err(Fault::Damage),
        }
    }

    fn move_frames_down(&mut self) -> Result<(), Fault> {
        let plan = Move::of(&self.state);
        let (mut source, mut target) = (plan.from, plan.to);
        // Originals from here on are still needed: their copies may not be durable.
        let mut needed = plan.from;
        while source < plan.until {
            let Some(FrameHeader::Record(header)) = self.frame_at(source)? else {
                source = source.saturating_add(self.len_at(source)?);
                continue;
            };
            let len = header.frame_len();
            if target.saturating_add(len) > needed {
                self.settle(plan.to, target, source)?;
                needed = source;
            }
            self.copy(source, target, len)?;
            self.store.write_at(target, &frame::encode_record(&header, target))?;
            source = source.saturating_add(len);
            target = target.saturating_add(len);
        }
        self.store.sync()?;
        let mut next = State { head: plan.to, ..self.state };
        if next.wrap == 0 {
            next.tail = target;
        } else {
            next.wrap = target;
        }
        self.commit(next)?;
        self.store.sync()?;
        Ok(())
    }

    /// Makes the copies up to `target` count, in place of the originals up to `source`.
    fn settle(&mut self, head: u64, target: u64, source: u64) -> Result<(), Fault> {
        let filler = frame::encode_filler(source.saturating_sub(target), target);
        self.store.write_at(target, &filler)?;
        self.store.sync()?;
        self.commit(State { head, ..self.state })?;
        self.store.sync()?;
        Ok(())
    }
}

fn is_filler(frame: &FrameHeader) -> bool {
    matches!(frame, FrameHeader::Filler(_))
}
