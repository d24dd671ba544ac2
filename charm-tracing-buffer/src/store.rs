//! The medium under a buffer: [`Store`] is all that the buffer asks of it, [`FileStore`] is the
//! real one and the only code of this crate that names `std::fs`. It moves bytes, locks and syncs,
//! and knows nothing of the format.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Reason;
use crate::frame::HEADER_LEN;

/// Whether an operation that finds no file begins one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Begin one.
    Create,
    /// Report it.
    Report,
}

/// Whether there is a file, once the lock was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The file at the path is open and locked.
    Locked,
    /// There is none, and none was to be created.
    Missing,
}

/// A file that a buffer lives in, with the two neighbours that it may need.
///
/// Implement it to keep a buffer elsewhere, or to test what a program does when its disk fails.
/// Offsets and lengths are in bytes. Except for [`lock`](Store::lock) everything is called with the
/// lock held only.
pub trait Store {
    /// Where the buffer is, for messages.
    fn path(&self) -> &Path;

    /// Locks the file that is now at the path, for as long as [`unlock`](Store::unlock) is not
    /// called.
    ///
    /// # Errors
    ///
    /// [`Reason::Locked`] after `timeout`, [`Reason::NotAFile`], or what the operating system says.
    fn lock(&mut self, missing: Missing, timeout: Duration) -> Result<Presence, Reason>;

    /// Lets others go on. It cannot fail in a way that matters: the lock ends with the file
    /// descriptor, at the latest.
    fn unlock(&mut self);

    /// The file's length.
    ///
    /// # Errors
    ///
    /// What the operating system says; so for all that follow.
    fn file_len(&mut self) -> io::Result<u64>;

    /// Reads until `buffer` is full or the file ends, and says how much that was.
    ///
    /// # Errors
    ///
    /// As above.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes`, lengthening the file if need be.
    ///
    /// # Errors
    ///
    /// As above; any part of `bytes` may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file or fills it up with zeroes.
    ///
    /// # Errors
    ///
    /// As above.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes the file's bytes and length survive a loss of power.
    ///
    /// # Errors
    ///
    /// As above; nothing that was written since the last success may then be relied on.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes the file's being at its path survive a loss of power.
    ///
    /// # Errors
    ///
    /// As above.
    fn sync_entry(&mut self) -> io::Result<()>;

    /// Moves the file aside, over any that was moved aside before, and lets go of it: the next
    /// [`lock`](Store::lock) finds none.
    ///
    /// # Errors
    ///
    /// As above.
    fn set_aside(&mut self) -> io::Result<()>;

    /// The journal's bytes, if there is one: at most the first 32 KiB.
    ///
    /// # Errors
    ///
    /// As above.
    fn read_journal(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Writes the journal, a small file beside the file, and makes it survive a loss of power.
    ///
    /// # Errors
    ///
    /// As above.
    fn write_journal(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Removes the journal, if there is one.
    ///
    /// # Errors
    ///
    /// As above.
    fn remove_journal(&mut self) -> io::Result<()>;

    /// A number that no earlier file had.
    fn fresh_id(&mut self) -> u64;
}

/// A file on disk. Beside it there may be `<name>.import-journal`, the journal of an import that is
/// under way, and `<name>.foreign`, a file that was in the way and not a buffer.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    file: Option<File>,
}

impl FileStore {
    /// A file at `path`; nothing is touched before the first [`lock`](Store::lock).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None }
    }

    /// Whether the file at `path`, judged by its length, holds no record.
    pub(crate) fn is_empty(path: &Path) -> Result<bool, Reason> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => {
                require_file(&metadata)?;
                Ok(matches!(metadata.len(), 0 | HEADER_LEN))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("used without the lock"))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(suffix);
        name.into()
    }

    fn journal(&self) -> PathBuf {
        self.beside(".import-journal")
    }

    /// Opens what is at the path, if that is a file, and takes others' permissions away.
    fn open_existing(&self) -> Result<Option<File>, Reason> {
        // Looked at before it is opened: to open a device can have effects, and a pipe's open can
        // block.
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) => require_file(&metadata)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let file = match options().open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                return Err(Reason::NotAFile("symbolic link"));
            }
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        require_file(&metadata)?;
        if metadata.mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o700))?;
        }
        Ok(Some(file))
    }

    fn create(&self) -> Result<Option<File>, Reason> {
        create_directory(self.directory())?;
        match options().create_new(true).mode(0o600).open(&self.path) {
            Ok(file) => Ok(Some(file)),
            // Somebody else was faster; theirs will be opened.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Whether the open file is still the one at the path.
    fn is_current(&self) -> io::Result<bool> {
        let here = self.file()?.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that some file is open; says whether one is.
    fn ensure_open(&mut self, missing: Missing) -> Result<bool, Reason> {
        if self.file.is_none() {
            self.file = self.open_existing()?;
        }
        if self.file.is_none() && missing == Missing::Create {
            self.file = self.create()?;
        }
        Ok(self.file.is_some())
    }
}

impl Store for FileStore {
    fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&mut self, missing: Missing, timeout: Duration) -> Result<Presence, Reason> {
        let mut patience = Patience::new(timeout);
        loop {
            if !self.ensure_open(missing)? {
                if missing == Missing::Report {
                    return Ok(Presence::Missing);
                }
                patience.wait()?;
                continue;
            }
            match self.file()?.try_lock() {
                Ok(()) if self.is_current()? => return Ok(Presence::Locked),
                // Deleted or replaced, before or while we waited: what counts is what is at the
                // path now.
                Ok(()) => {
                    self.file = None;
                    patience.check()?;
                }
                Err(TryLockError::WouldBlock) => patience.wait()?,
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }

    fn unlock(&mut self) {
        if let Some(file) = &self.file
            && file.unlock().is_err()
        {
            self.file = None;
        }
    }

    fn file_len(&mut self) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.file()?;
        let mut done = 0_usize;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done = done.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all_at(bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file()?.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn sync_entry(&mut self) -> io::Result<()> {
        sync_directory(self.directory())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        fs::rename(&self.path, self.beside(".foreign"))?;
        self.file = None;
        self.sync_entry()
    }

    fn read_journal(&mut self) -> io::Result<Option<Vec<u8>>> {
        let file = match options().open(self.journal()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; 32 << 10];
        let mut done = 0_usize;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, done as u64)? {
                0 => break,
                read => done = done.saturating_add(read),
            }
        }
        bytes.truncate(done);
        Ok(Some(bytes))
    }

    fn write_journal(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = options().create(true).truncate(true).mode(0o600).open(self.journal())?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        self.sync_entry()
    }

    fn remove_journal(&mut self) -> io::Result<()> {
        match fs::remove_file(self.journal()) {
            Ok(()) => self.sync_entry(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn fresh_id(&mut self) -> u64 {
        RandomState::new().hash_one(std::process::id())
    }
}

/// Waiting with a limit, in growing steps.
struct Patience {
    timeout: Duration,
    since: Instant,
    step: Duration,
}

impl Patience {
    fn new(timeout: Duration) -> Self {
        Self { timeout, since: Instant::now(), step: Duration::from_micros(50) }
    }

    fn check(&self) -> Result<(), Reason> {
        if self.since.elapsed() < self.timeout { Ok(()) } else { Err(Reason::Locked(self.timeout)) }
    }

    fn wait(&mut self) -> Result<(), Reason> {
        self.check()?;
        let left = self.timeout.saturating_sub(self.since.elapsed());
        std::thread::sleep(self.step.min(left));
        self.step = self.step.saturating_mul(2).min(Duration::from_millis(2));
        Ok(())
    }
}

/// For reading and writing, following no link and blocking on nothing.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn require_file(metadata: &Metadata) -> Result<(), Reason> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(Reason::NotAFile(if kind.is_symlink() {
        "symbolic link"
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }))
}

/// Creates `directory` and what is missing above it, private, and makes the new entries survive a
/// loss of power.
fn create_directory(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|path| is_missing(path)).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    for created in missing {
        let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

fn is_missing(path: &Path) -> bool {
    !path.as_os_str().is_empty() && matches!(path.try_exists(), Ok(false))
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
