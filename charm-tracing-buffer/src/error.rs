//! What can go wrong, said so that a reader knows which operation failed on which path, why, and
//! what to do.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{error, fmt, io};

/// An operation on a buffer failed; the records stored before are as they were, unless the
/// operation's own documentation says more.
///
/// # Examples
///
/// ```
/// use charm_tracing_buffer::{Buffer, Options, Reason};
///
/// let error = Buffer::open("/dev/null", Options::default()).unwrap_err();
/// assert!(matches!(error.reason(), Reason::NotAFile("device")));
/// assert!(error.to_string().starts_with("cannot open buffer `/dev/null`: it is a device, not a file"));
/// ```
#[derive(Debug)]
pub struct Error {
    operation: Operation,
    path: PathBuf,
    reason: Reason,
}

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// [`Buffer::open`](crate::Buffer::open) or [`Buffer::is_empty`](crate::Buffer::is_empty).
    Open,
    /// [`Buffer::push`](crate::Buffer::push).
    Push,
    /// [`Buffer::peek`](crate::Buffer::peek), [`Buffer::iter`](crate::Buffer::iter), or looking at
    /// lengths and metadata.
    Read,
    /// [`Buffer::acknowledge`](crate::Buffer::acknowledge) or
    /// [`Buffer::acknowledge_first`](crate::Buffer::acknowledge_first).
    Acknowledge,
    /// [`Buffer::set_metadata`](crate::Buffer::set_metadata).
    SetMetadata,
    /// [`Buffer::sync`](crate::Buffer::sync).
    Sync,
}

/// Why an operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The operating system refused; after a failed write or sync the operation has not happened.
    Io(io::Error),
    /// Something other than a regular file is at the path: what it is.
    NotAFile(&'static str),
    /// Others held the lock for the whole of this time.
    Locked(Duration),
    /// The record is longer than any that fits into `max_bytes`.
    RecordTooLarge {
        /// The record's length in bytes.
        bytes: u64,
        /// The longest record that this buffer takes, in bytes.
        limit: u64,
    },
    /// The file was written by a later version of this crate, in a format of this number; it was
    /// left alone.
    NewerVersion(u32),
    /// The batch was peeked from a file that has since been deleted or replaced.
    StaleBatch,
    /// `max_bytes` is outside of what is allowed.
    InvalidMaxBytes(u64),
}

impl Error {
    pub(crate) fn new(operation: Operation, path: &Path, reason: Reason) -> Self {
        Self { operation, path: path.to_owned(), reason }
    }

    /// The operation that failed.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The buffer's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it failed.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`: {}", self.operation, self.path.display(), self.reason)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.reason {
            Reason::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open buffer",
            Self::Push => "push into buffer",
            Self::Read => "read buffer",
            Self::Acknowledge => "acknowledge records of buffer",
            Self::SetMetadata => "set the metadata of buffer",
            Self::Sync => "sync buffer",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}; {}", advice(error)),
            Self::NotAFile(kind) => {
                write!(f, "it is a {kind}, not a file; remove it or choose another path")
            }
            Self::Locked(waited) => {
                write!(
                    f,
                    "other processes held its lock for {waited:?}; try again, or raise `lock_timeout`"
                )
            }
            Self::RecordTooLarge { bytes, limit } => write!(
                f,
                "a record of {bytes} bytes can never fit, the limit is {limit} bytes; split it or raise `max_bytes`"
            ),
            Self::NewerVersion(version) => write!(
                f,
                "its format has version {version}, written by a later release; upgrade, or choose another path"
            ),
            Self::StaleBatch => {
                write!(f, "its file was deleted or replaced since the batch was peeked; peek again")
            }
            Self::InvalidMaxBytes(bytes) => {
                write!(f, "`max_bytes` is {bytes}; choose a number from 65536 to 4294967295")
            }
        }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free some space, or choose another path"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make the file and its directory writable for this user, or choose another path"
        }
        _ => "check the disk and the path",
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why an attempt under the lock ended early.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It failed.
    Reason(Reason),
    /// Something that should be in the file is not: repair it, then try again.
    Damage,
}

impl<R: Into<Reason>> From<R> for Fault {
    fn from(reason: R) -> Self {
        Self::Reason(reason.into())
    }
}
