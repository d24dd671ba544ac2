//! A disk in memory that can crash, lose and reorder what was not synced, run full and fail to
//! sync. It owns the difference between what a running system sees (`seen`) and what a loss of
//! power leaves (`durable`).

#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::cast_possible_truncation, reason = "the numbers are small")]

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use charm_tracing_buffer::Reason;
use charm_tracing_buffer::store::{Missing, Presence, Store};

const SECTOR: u64 = 512;

/// What goes wrong, and at which operation, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Plan {
    #[default]
    Nothing,
    /// The machine stops in this operation; part of it may have happened.
    CrashAt(u64),
    /// This operation fails; half of what it was to write was written. If it is a sync, nothing was
    /// synced, and nothing of what was written before it will ever be, unless it is written again.
    FailAt(u64),
    /// The file cannot get longer than this.
    FullAt(u64),
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                let (from, to) = (*at as usize, *at as usize + bytes.len());
                if file.len() < to {
                    file.resize(to, 0);
                }
                file[from..to].copy_from_slice(bytes);
            }
            Self::SetLen(len) => file.resize(*len as usize, 0),
        }
    }

    /// The parts that reach the medium independently of each other.
    fn sectors(&self) -> Vec<Self> {
        let Self::Write(at, bytes) = self else {
            return vec![self.clone()];
        };
        let mut parts = Vec::new();
        let (mut at, mut rest) = (*at, bytes.as_slice());
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(rest.len().min((SECTOR - at % SECTOR) as usize));
            parts.push(Self::Write(at, part.to_vec()));
            at += part.len() as u64;
            rest = behind;
        }
        parts
    }
}

#[derive(Debug, Default)]
struct Inner {
    seen: Option<Vec<u8>>,
    durable: Option<Vec<u8>>,
    unsynced: Vec<Change>,
    journal: Option<Vec<u8>>,
    aside: Option<Vec<u8>>,
    operations: u64,
    plan: Plan,
    stopped: bool,
    largest: u64,
    file_id: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Rc<RefCell<Inner>>);

impl Disk {
    pub(crate) fn with_file(bytes: &[u8]) -> Self {
        let disk = Self::default();
        let mut inner = disk.0.borrow_mut();
        inner.seen = Some(bytes.to_vec());
        inner.durable = Some(bytes.to_vec());
        inner.file_id = 1;
        drop(inner);
        disk
    }

    /// The same with another file in its place, and the journal left where it was.
    pub(crate) fn with_replaced_file(&self, bytes: &[u8]) -> Self {
        let disk = Self::with_file(bytes);
        disk.0.borrow_mut().journal = self.journal();
        disk
    }

    pub(crate) fn plan(&self, plan: Plan) {
        let mut inner = self.0.borrow_mut();
        inner.plan = plan;
        inner.operations = 0;
    }

    pub(crate) fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.0.borrow().stopped
    }

    pub(crate) fn file(&self) -> Option<Vec<u8>> {
        self.0.borrow().seen.clone()
    }

    pub(crate) fn aside(&self) -> Option<Vec<u8>> {
        self.0.borrow().aside.clone()
    }

    pub(crate) fn journal(&self) -> Option<Vec<u8>> {
        self.0.borrow().journal.clone()
    }

    /// The most bytes that the file and its journal ever had together.
    pub(crate) fn largest(&self) -> u64 {
        self.0.borrow().largest
    }

    /// What a loss of power leaves: of what was not synced, each sector for which `reaches` says
    /// so.
    pub(crate) fn after_power_loss(&self, mut reaches: impl FnMut() -> bool) -> Self {
        let inner = self.0.borrow();
        let mut file = inner.durable.clone();
        for change in inner.unsynced.iter().flat_map(Change::sectors) {
            if reaches() {
                // A file whose entry was not synced may be there all the same.
                change.apply(file.get_or_insert_default());
            }
        }
        Self::restarted(file, &inner)
    }

    /// What the death of the process leaves.
    pub(crate) fn after_kill(&self) -> Self {
        let inner = self.0.borrow();
        Self::restarted(inner.seen.clone(), &inner)
    }

    fn restarted(file: Option<Vec<u8>>, inner: &Inner) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            seen: file.clone(),
            durable: file,
            journal: inner.journal.clone(),
            aside: inner.aside.clone(),
            file_id: inner.file_id,
            ..Inner::default()
        })))
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        if inner.stopped {
            return Err(io::Error::other("the machine has stopped"));
        }
        let fate = inner.next_operation();
        let grows_to = match &change {
            Change::Write(at, bytes) => at + bytes.len() as u64,
            Change::SetLen(len) => *len,
        };
        let length = inner.seen.as_ref().map_or(0, Vec::len) as u64;
        let too_long = matches!(inner.plan, Plan::FullAt(limit) if grows_to > limit.max(length));
        let half = match (&change, &inner.plan) {
            (Change::Write(at, bytes), Plan::FullAt(limit)) if too_long => Some(Change::Write(
                *at,
                bytes[..(limit.max(&length) - at.min(limit.max(&length))) as usize].to_vec(),
            )),
            (Change::Write(at, bytes), _) => {
                Some(Change::Write(*at, bytes[..bytes.len() / 2].to_vec()))
            }
            (Change::SetLen(_), _) => None,
        };
        let done = if fate.is_err() || too_long { half } else { Some(change) };
        if let Some(done) = done {
            done.apply(inner.seen.get_or_insert_default());
            inner.unsynced.push(done);
        }
        inner.measure();
        fate?;
        if too_long { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Inner {
    /// Counts an operation that changes something, and says whether it happens.
    fn next_operation(&mut self) -> io::Result<()> {
        if self.stopped {
            return Err(io::Error::other("the machine has stopped"));
        }
        self.operations += 1;
        match self.plan {
            Plan::CrashAt(n) if n == self.operations => {
                self.stopped = true;
                Err(io::Error::other("the machine stops"))
            }
            Plan::FailAt(n) if n == self.operations => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn measure(&mut self) {
        let total =
            self.seen.as_ref().map_or(0, Vec::len) + self.journal.as_ref().map_or(0, Vec::len);
        self.largest = self.largest.max(total as u64);
    }
}

impl Store for Disk {
    fn path(&self) -> &Path {
        Path::new("/disk")
    }

    fn lock(&mut self, missing: Missing, _: Duration) -> Result<Presence, Reason> {
        let mut inner = self.0.borrow_mut();
        if inner.stopped {
            return Err(io::Error::other("the machine has stopped").into());
        }
        if inner.seen.is_some() {
            return Ok(Presence::Locked);
        }
        if missing == Missing::Report {
            return Ok(Presence::Missing);
        }
        inner.next_operation()?;
        inner.seen = Some(Vec::new());
        Ok(Presence::Locked)
    }

    fn unlock(&mut self) {}

    fn file_len(&mut self) -> io::Result<u64> {
        Ok(self.0.borrow().seen.as_ref().map_or(0, Vec::len) as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let inner = self.0.borrow();
        let file = inner.seen.as_deref().unwrap_or_default();
        let rest = file.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, bytes.to_vec()))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.change(Change::SetLen(len))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        match inner.next_operation() {
            Ok(()) => {
                let unsynced = std::mem::take(&mut inner.unsynced);
                if let Some(durable) = &mut inner.durable {
                    for change in &unsynced {
                        change.apply(durable);
                    }
                } else {
                    // Without a durable entry the bytes are nowhere.
                    inner.unsynced = unsynced;
                }
                Ok(())
            }
            Err(error) => {
                if !inner.stopped {
                    inner.unsynced.clear();
                }
                Err(error)
            }
        }
    }

    fn sync_entry(&mut self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.next_operation()?;
        inner.durable.get_or_insert_default();
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.next_operation()?;
        inner.aside = inner.seen.take();
        inner.durable = None;
        inner.unsynced.clear();
        Ok(())
    }

    fn read_journal(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().journal.clone())
    }

    fn write_journal(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        if inner.stopped {
            return Err(io::Error::other("the machine has stopped"));
        }
        let fate = inner.next_operation();
        let length = inner.seen.as_ref().map_or(0, Vec::len) as u64;
        let fits =
            !matches!(inner.plan, Plan::FullAt(limit) if length + bytes.len() as u64 > limit);
        let written = if fate.is_ok() && fits { bytes.len() } else { bytes.len() / 2 };
        inner.journal = Some(bytes[..written].to_vec());
        inner.measure();
        fate?;
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn remove_journal(&mut self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        if inner.journal.is_some() {
            inner.next_operation()?;
            inner.journal = None;
        }
        Ok(())
    }

    fn fresh_id(&mut self) -> u64 {
        let mut inner = self.0.borrow_mut();
        inner.file_id += 1;
        inner.file_id
    }
}

/// A small deterministic source of chance (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
