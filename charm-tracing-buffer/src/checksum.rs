//! The format's checksum, CRC-32 (IEEE 802.3), in two ways that agree: for payloads, which may be
//! megabytes, with the processor's own instructions; for headers with a table.
//!
//! The first use of those instructions asks the processor whether it has them. A virtual machine
//! answers through its host, a dozen times, which takes longer than everything else that is done to
//! an empty buffer.

/// The checksum of a header: some hundred bytes at most.
pub(crate) fn of_header(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        let entry = TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default();
        (sum >> 8) ^ entry
    })
}

/// The checksum of a payload.
pub(crate) fn of_payload(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The checksum of a payload that is read in pieces.
#[derive(Debug, Default)]
pub(crate) struct OfPieces(crc32fast::Hasher);

impl OfPieces {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// What each value of a byte does to the checksum.
const TABLE: [u32; 256] = table();

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "evaluated when this is compiled, where a mistake is an error"
)]
const fn table() -> [u32; 256] {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let (mut table, mut byte) = ([0; 256], 0);
    let mut value = 0;
    while byte < table.len() {
        let (mut entry, mut bit): (u32, u32) = (value, 0);
        while bit < 8 {
            entry = if entry & 1 == 0 { entry >> 1 } else { (entry >> 1) ^ POLYNOMIAL };
            bit += 1;
        }
        table[byte] = entry;
        byte += 1;
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_with_the_standards_check_value() {
        assert_eq!((of_header(b"123456789"), of_payload(b"123456789")), (0xcbf4_3926, 0xcbf4_3926));
    }

    #[test]
    fn both_ways_agree_on_everything() {
        let bytes: Vec<u8> =
            (0..1000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        for end in 0..bytes.len() {
            assert_eq!(of_header(&bytes[..end]), of_payload(&bytes[..end]));
        }
    }
}
