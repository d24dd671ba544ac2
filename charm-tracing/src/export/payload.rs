//! The bytes of a request: how they are compressed, and how several become one.
//!
//! Two facts make this simple: OTLP requests put end to end are one OTLP request (protobuf's
//! merging), and gzip members put end to end are one gzip stream (RFC 1952). So what is compressed
//! once, at the latest on its way to the disk, is never touched again, not when records are merged
//! either.

use std::borrow::Cow;
use std::cell::RefCell;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Below this many bytes compression is not worth a disk's or a backend's while.
const WORTH_COMPRESSING: usize = 1024;

/// Below this many bytes the trace of one execution is sent as it is, if it is sent at once: a
/// network takes the difference in less time than compressing does.
const WORTH_COMPRESSING_AT_ONCE: usize = 32 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What a gzip member begins with (RFC 1952): deflated, no name, no time, compressed fast, on some
/// operating system.
const GZIP_HEADER: [u8; 10] = [GZIP_MAGIC[0], GZIP_MAGIC[1], 8, 0, 0, 0, 0, 0, 4, 255];

thread_local! {
    /// A long execution compresses again and again, and setting up the tables costs as much as some
    /// hundred spans do.
    static DEFLATE: RefCell<Compress> = RefCell::new(deflate());
}

fn deflate() -> Compress {
    Compress::new(Compression::fast(), false)
}

/// One or more `ExportTraceServiceRequest`s, compressed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    bytes: Vec<u8>,
    /// What the backend has to hold of it, in bytes.
    plain_size: usize,
}

impl Payload {
    /// A payload of one request's bytes, compressed if that is worth it.
    pub(crate) fn of_request(plain: Vec<u8>) -> Self {
        let plain_size = plain.len();
        let compressed = (plain_size > WORTH_COMPRESSING_AT_ONCE).then(|| gzip(&plain)).flatten();
        Self { bytes: compressed.unwrap_or(plain), plain_size }
    }

    /// The bytes as they are stored.
    pub(crate) fn to_store(&self) -> Cow<'_, [u8]> {
        let is_worth_it = self.plain_size > WORTH_COMPRESSING && !self.is_gzip();
        let compressed = is_worth_it.then(|| gzip(&self.bytes)).flatten();
        compressed.map_or(Cow::Borrowed(&self.bytes), Cow::Owned)
    }

    /// A payload that was stored: by this crate, or by the Python library, which does not compress.
    pub(crate) fn stored(bytes: Vec<u8>) -> Self {
        let plain_size = if is_gzip(&bytes) { size_in_trailer(&bytes) } else { bytes.len() };
        Self { bytes, plain_size }
    }

    /// Whether the bytes are a gzip stream. A plain request begins with the tag of its first field,
    /// so that it cannot be taken for one.
    pub(crate) fn is_gzip(&self) -> bool {
        is_gzip(&self.bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn plain_size(&self) -> usize {
        self.plain_size
    }

    /// All `parts` as one payload.
    pub(crate) fn merged<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let parts: Vec<&Self> = parts.into_iter().collect();
        let plain_size = parts.iter().map(|part| part.plain_size).sum();
        if let [alone] = parts[..] {
            return alone.clone();
        }
        let compress = plain_size > WORTH_COMPRESSING || parts.iter().any(|part| part.is_gzip());
        let mut bytes = Vec::new();
        for part in parts {
            match (compress && !part.is_gzip()).then(|| gzip(&part.bytes)).flatten() {
                Some(member) => bytes.extend(member),
                None => bytes.extend_from_slice(&part.bytes),
            }
        }
        Self { bytes, plain_size }
    }
}

fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP_MAGIC)
}

/// One gzip member. Compressing in memory does not fail; if it did, the plain bytes would serve.
fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let with_tables =
        |tables: &RefCell<Compress>| gzip_with(&mut *tables.try_borrow_mut().ok()?, plain);
    // Where a thread is ending its tables may be gone. What is merged with gzip must be gzip all
    // the same.
    DEFLATE.try_with(with_tables).unwrap_or_else(|_| gzip_with(&mut deflate(), plain))
}

fn gzip_with(deflate: &mut Compress, plain: &[u8]) -> Option<Vec<u8>> {
    // Traces become a tenth of their size.
    let mut member = Vec::with_capacity(plain.len() / 8 + 64);
    member.extend(GZIP_HEADER);
    if deflate.total_out() > 0 {
        deflate.reset();
    }
    loop {
        let rest = plain.get(usize::try_from(deflate.total_in()).ok()?..)?;
        match deflate.compress_vec(rest, &mut member, FlushCompress::Finish).ok()? {
            Status::StreamEnd => break,
            Status::Ok | Status::BufError => member.reserve(member.len()),
        }
    }
    let mut checksum = Crc::new();
    checksum.update(plain);
    member.extend(checksum.sum().to_le_bytes());
    member.extend(checksum.amount().to_le_bytes());
    Some(member)
}

/// The size before compression, which a gzip member ends with.
fn size_in_trailer(member: &[u8]) -> usize {
    let trailer = member.last_chunk::<4>().copied().unwrap_or_default();
    usize::try_from(u32::from_le_bytes(trailer)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};
    use std::io::Read;
    use std::sync::mpsc;

    use flate2::read::MultiGzDecoder;

    use super::*;

    /// As long as asked for, and beginning as a request does.
    fn request(bytes: usize) -> Vec<u8> {
        let mut request = vec![7; bytes];
        request[0] = 0x0a;
        request
    }

    fn plain(payload: &Payload) -> Vec<u8> {
        let mut plain = Vec::new();
        if payload.is_gzip() {
            MultiGzDecoder::new(payload.bytes()).read_to_end(&mut plain).unwrap();
        } else {
            plain.extend_from_slice(payload.bytes());
        }
        plain
    }

    #[test]
    fn what_is_large_is_compressed() {
        assert!(!Payload::of_request(request(32 * 1024)).is_gzip());
        let large = Payload::of_request(request(32 * 1024 + 1));
        assert!(large.is_gzip() && large.bytes().len() < 400);
        assert_eq!((plain(&large), large.plain_size()), (request(32 * 1024 + 1), 32 * 1024 + 1));
        assert_eq!(large.to_store(), large.bytes());
    }

    #[test]
    fn what_cannot_be_compressed_is_a_member_too() {
        let noise = |index: u64| RandomState::new().hash_one(index).to_le_bytes();
        for bytes in [0, 1, 2000, 100_000, 3_000_000] {
            let plain: Vec<u8> = (0..).flat_map(noise).take(bytes).collect();
            let member = gzip(&plain).unwrap();
            let mut unpacked = Vec::new();
            MultiGzDecoder::new(&member[..]).read_to_end(&mut unpacked).unwrap();
            assert_eq!((unpacked == plain, size_in_trailer(&member)), (true, bytes));
        }
    }

    #[test]
    fn merging_works_to_the_very_end_of_a_thread() {
        struct Last(mpsc::Sender<Payload>);
        impl Drop for Last {
            fn drop(&mut self) {
                let stored = Payload::stored(gzip(&request(2000)).unwrap_or_default());
                let _ = self.0.send(Payload::merged([&stored, &Payload::of_request(request(20))]));
            }
        }
        thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });
        let (sender, receiver) = mpsc::channel();
        let ending = move || {
            // Destroyed in the opposite order of their first use.
            LAST.set(Some(Last(sender)));
            gzip(&request(2000))
        };
        std::thread::spawn(ending).join().unwrap();
        let merged = receiver.recv().unwrap();
        assert_eq!(plain(&merged), [request(2000), request(20)].concat());
    }

    #[test]
    fn what_was_stored_says_its_size_again() {
        for bytes in [10, 1024, 1025, 5000, 50_000] {
            let payload = Payload::of_request(request(bytes));
            let stored = Payload::stored(payload.to_store().into_owned());
            assert_eq!(stored.is_gzip(), bytes > 1024);
            assert_eq!((plain(&stored), stored.plain_size()), (request(bytes), bytes));
        }
    }

    #[test]
    fn merging_puts_requests_end_to_end() {
        let sizes = [[10, 20], [10, 2000], [40_000, 10], [40_000, 50_000], [600, 600]];
        for [first, second] in sizes {
            let (one, two) =
                (Payload::of_request(request(first)), Payload::of_request(request(second)));
            let both = Payload::merged([&one, &two]);
            assert_eq!(plain(&both), [request(first), request(second)].concat());
            assert_eq!(both.plain_size(), first + second);
        }
    }
}
