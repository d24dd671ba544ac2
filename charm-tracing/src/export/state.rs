//! What delivery remembers from one execution to the next: 64 bytes that live with the buffer.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 | version: 1 |
//! | 1 | what was last said in the log (`Said`) |
//! | 2..4 | failures in a row |
//! | 4..8 | the most bytes a request for the backlog may have; 0: the default |
//! | 8..16 | no attempt before this time, milliseconds since the epoch |
//! | 16..24 | fingerprint of the destination that the failures are about |
//! | 24..32 | events evicted since the backlog was last empty |
//! | 32..40 | records refused since then |
//! | 40 | 1: the live trace leaves with the backlog, not before it |
//! | 41..64 | zero |
//!
//! Numbers are little-endian. What is of another version, or nothing, is the state of a beginning.

/// What lives in the buffer's slot for its caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) said: Said,
    pub(crate) failures: u16,
    pub(crate) request_bytes: u32,
    pub(crate) not_before: u64,
    pub(crate) destination: u64,
    pub(crate) evicted: u64,
    pub(crate) refused: u64,
    /// After the live trace there was no time left for any of the backlog: they leave together.
    pub(crate) together: bool,
}

/// What the log says about delivery, so that it is said once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is said or not, whatever the others are")]
pub(crate) struct Said {
    /// Traces wait on disk.
    pub(crate) waiting: bool,
    /// The oldest of them are given up for newer ones.
    pub(crate) evicting: bool,
    /// The backend refuses some for good.
    pub(crate) refusing: bool,
    /// Some of the certificates that the backend is checked against cannot be used.
    pub(crate) doubting: bool,
}

const VERSION: u8 = 1;

impl State {
    pub(crate) fn decode(bytes: &[u8; 64]) -> Self {
        if bytes[0] != VERSION {
            return Self::default();
        }
        Self {
            said: Said::decode(bytes[1]),
            failures: u16::from_le_bytes(field(bytes, 2)),
            request_bytes: u32::from_le_bytes(field(bytes, 4)),
            not_before: u64::from_le_bytes(field(bytes, 8)),
            destination: u64::from_le_bytes(field(bytes, 16)),
            evicted: u64::from_le_bytes(field(bytes, 24)),
            refused: u64::from_le_bytes(field(bytes, 32)),
            together: bytes[40] == 1,
        }
    }

    pub(crate) fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0] = VERSION;
        bytes[1] = self.said.encode();
        bytes[2..4].copy_from_slice(&self.failures.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.request_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.not_before.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.destination.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.evicted.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.refused.to_le_bytes());
        bytes[40] = u8::from(self.together);
        bytes
    }
}

impl Said {
    fn decode(bits: u8) -> Self {
        let [waiting, evicting, refusing, doubting] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
        Self { waiting, evicting, refusing, doubting }
    }

    fn encode(self) -> u8 {
        let Self { waiting, evicting, refusing, doubting } = self;
        let bits = [waiting, evicting, refusing, doubting].into_iter().enumerate();
        bits.map(|(place, is_said)| u8::from(is_said) << place).sum()
    }
}

fn field<const N: usize>(bytes: &[u8; 64], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_survives_its_bytes() {
        let state = State {
            said: Said { waiting: true, evicting: false, refusing: true, doubting: true },
            failures: 3,
            request_bytes: 70_000,
            not_before: 1_790_000_000_000,
            destination: u64::MAX,
            evicted: 5,
            refused: 7,
            together: true,
        };
        assert_eq!(State::decode(&state.encode()), state);
    }

    #[test]
    fn anything_else_is_a_beginning() {
        assert_eq!(State::decode(&[0; 64]), State::default());
        assert_eq!(State::decode(&[0xff; 64]), State::default());
    }
}
