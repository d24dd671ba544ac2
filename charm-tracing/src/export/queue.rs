//! The disk end of the street: the buffer as delivery uses it, or that there is none.
//!
//! A buffer that cannot be used is a problem for the log and nothing else. After the first error
//! nothing more is asked of it, so that no execution waits twice for the same broken disk.

use std::fs::{File, TryLockError};
use std::path::Path;

use charm_tracing_buffer::{Batch, Buffer, Durability, Error, EventKey, Options, Reason, Recovery};

use super::payload::Payload;
use super::state::State;
use crate::config::BufferConfig;

/// The buffer, opened when something is first asked of it. What is done to it survives the process
/// at once, and a loss of power when [`Queue::write_back`] was asked to wait for the disk: an
/// execution waits for it once at most.
#[derive(Debug)]
pub(crate) struct Queue {
    config: BufferConfig,
    event: EventKey,
    buffer: Handle,
    /// What is remembered from execution to execution; written back by `write_back`.
    pub(crate) state: State,
    stored: State,
    /// Something was done that a loss of power is not to undo.
    unsynced: bool,
    /// What went wrong with the buffer, for the log.
    pub(crate) problem: Option<String>,
    /// What the buffer has found amiss.
    recovery: Recovery,
}

/// The right to send what waits, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim(Option<File>);

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(directory) = &self.0 {
            // To close it is not enough: a child process that another thread is just starting has
            // it open as well, until it executes its program.
            let _ = directory.unlock();
        }
    }
}

#[derive(Debug)]
enum Handle {
    Unopened,
    Open(Box<Buffer>),
    /// Switched off, or broken.
    Off,
}

impl Queue {
    /// A queue for the records of the execution `event`. Costs nothing.
    pub(crate) fn new(config: BufferConfig, event: EventKey) -> Self {
        let buffer = if config.max_events == 0 { Handle::Off } else { Handle::Unopened };
        let (state, stored, unsynced, problem, recovery) = Default::default();
        Self { config, event, buffer, state, stored, unsynced, problem, recovery }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.config.path
    }

    pub(crate) fn is_off(&self) -> bool {
        matches!(self.buffer, Handle::Off)
    }

    /// Lets a buffer that was broken be asked again.
    pub(crate) fn reopen(&mut self) {
        if self.config.max_events > 0 {
            self.buffer = Handle::Unopened;
            self.problem = None;
        }
    }

    /// Reads what is remembered. One `stat` while nothing ever was.
    pub(crate) fn recall(&mut self) {
        if !self.is_off() && self.config.path.exists() {
            let metadata = self.ask(Buffer::metadata);
            let evicted_at_opening = self.state.evicted;
            self.stored = metadata.map(|bytes| State::decode(&bytes)).unwrap_or_default();
            self.state = self.stored;
            self.state.evicted += evicted_at_opening;
        }
    }

    /// Whether anything waits, or may.
    pub(crate) fn has_records(&mut self) -> bool {
        match self.buffer {
            Handle::Off => false,
            // A path that is no buffer is found out, and said, when it is opened.
            Handle::Unopened => !Buffer::is_empty(&self.config.path).unwrap_or(false),
            Handle::Open(_) => self.waiting_events() > 0,
        }
    }

    /// How many executions wait.
    pub(crate) fn waiting_events(&mut self) -> u64 {
        self.ask(Buffer::len).map_or(0, |len| len.events)
    }

    /// How many executions were lost to damage, as far as that is known.
    pub(crate) fn lost_events(&self) -> u64 {
        self.recovery.lost_events
    }

    /// Appends one record; whether it is kept. Notes what had to go for it.
    pub(crate) fn push(&mut self, payload: &Payload) -> bool {
        let (event, bytes) = (self.event, payload.to_store());
        let pushed = self.ask(|buffer| buffer.push(event, &bytes));
        self.state.evicted += pushed.map_or(0, |pushed| pushed.evicted_events);
        self.unsynced |= pushed.is_some();
        pushed.is_some()
    }

    /// The oldest records: as many as have `budget` bytes together, but one at least.
    pub(crate) fn peek(&mut self, budget: usize) -> Option<Batch> {
        self.ask(|buffer| buffer.peek(budget)).filter(|batch| !batch.is_empty())
    }

    /// Removes the first `count` records of `batch`: they are dealt with.
    pub(crate) fn acknowledge(&mut self, batch: &Batch, count: usize) {
        self.unsynced |= self.ask(|buffer| buffer.acknowledge_first(batch, count)).is_some();
    }

    /// The same for records that this execution has pushed and nobody has synced: a loss of power
    /// that undoes it may as well have undone the push.
    pub(crate) fn acknowledge_own(&mut self, batch: &Batch, count: usize) {
        self.ask(|buffer| buffer.acknowledge_first(batch, count));
    }

    /// The oldest records, where they are this execution's own, and how many of them are.
    pub(crate) fn peek_own(&mut self, budget: usize) -> Option<(Batch, usize)> {
        let batch = self.peek(budget)?;
        let own = batch.records().iter().take_while(|record| record.event == self.event).count();
        (own > 0).then_some((batch, own))
    }

    /// The right to send what waits; `None` while another execution does that, for what is sent by
    /// two comes twice. It ends with its process, however that ends: it is a lock on the directory
    /// that the buffer is in, where nothing else locks. Where directories cannot be locked,
    /// everybody has the right.
    pub(crate) fn claim(&self) -> Option<Claim> {
        let Some(directory) = self.config.path.parent() else { return Some(Claim(None)) };
        let Ok(directory) = File::open(directory) else { return Some(Claim(None)) };
        match directory.try_lock() {
            Ok(()) => Some(Claim(Some(directory))),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(_)) => Some(Claim(None)),
        }
    }

    /// Writes back what is remembered, if it has changed, and waits for the disk, if anything was
    /// done that matters: of what is remembered, everything can be found out anew.
    pub(crate) fn write_back(&mut self) {
        let state = self.state;
        if state != self.stored && self.ask(|buffer| buffer.set_metadata(state.encode())).is_some()
        {
            self.stored = state;
        }
        if self.unsynced && self.ask(Buffer::sync).is_some() {
            self.unsynced = false;
        }
    }

    /// Asks the buffer; the first error is noted and is the last.
    fn ask<T>(&mut self, ask: impl FnOnce(&mut Buffer) -> Result<T, Error>) -> Option<T> {
        if let Handle::Unopened = self.buffer {
            self.buffer = match self.open() {
                Ok(buffer) => Handle::Open(Box::new(buffer)),
                Err(error) => self.broken(&error),
            };
        }
        let Handle::Open(buffer) = &mut self.buffer else { return None };
        match ask(buffer) {
            Ok(answer) => {
                let recovery = buffer.recovery();
                self.note_damage(recovery);
                Some(answer)
            }
            Err(error) => {
                self.buffer = self.broken(&error);
                None
            }
        }
    }

    fn open(&mut self) -> Result<Buffer, Error> {
        let options = Options {
            max_events: self.config.max_events,
            max_bytes: self.config.max_bytes,
            durability: Durability::Process,
            lock_timeout: self.config.lock_timeout,
        };
        let buffer = Buffer::open(&self.config.path, options)?;
        let recovery = buffer.recovery();
        self.state.evicted += recovery.evicted_events;
        if recovery.moved_aside {
            let path = self.config.path.display();
            self.problem =
                Some(format!("`{path}` was no buffer and is now called `{path}.foreign`"));
        }
        Ok(buffer)
    }

    /// Damage is found when the buffer is opened, or not before a record is read.
    fn note_damage(&mut self, recovery: Recovery) {
        let records = recovery.lost_records;
        if records > self.recovery.lost_records {
            let are = if records == 1 { "record is" } else { "records are" };
            self.problem = Some(format!("the buffer was damaged: {records} {are} lost"));
        }
        self.recovery = recovery;
    }

    fn broken(&mut self, error: &Error) -> Handle {
        self.problem = Some(in_words(error));
        Handle::Off
    }
}

/// What went wrong; where something can be done about it, with the name that it has here.
fn in_words(error: &Error) -> String {
    let path = error.path().display();
    match error.reason() {
        Reason::Locked(waited) => {
            format!("other processes held the lock of buffer `{path}` for {waited:?}")
        }
        Reason::RecordTooLarge { bytes, limit } => format!(
            "{bytes} bytes of spans do not fit into buffer `{path}`, the limit is {limit} bytes; \
             raise `buffer_max_size_mib`"
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_claim_ends_when_it_is_dropped_whoever_else_has_its_file_open() {
        let directory = std::env::temp_dir().join(format!("claim-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (path, lock_timeout) = (directory.join("buffer"), Duration::ZERO);
        let config = BufferConfig { path, max_events: 1, max_bytes: 1 << 20, lock_timeout };
        let queue = Queue::new(config, EventKey([0; 16]));
        let claim = queue.claim().unwrap();
        // As a child process that is being started has it.
        let inherited = claim.0.as_ref().unwrap().try_clone().unwrap();
        assert!(queue.claim().is_none());
        drop(claim);
        assert!(queue.claim().is_some());
        drop(inherited);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
