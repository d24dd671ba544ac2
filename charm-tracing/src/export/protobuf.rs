//! The wire format of Protocol Buffers, as far as OTLP needs it
//! (<https://protobuf.dev/programming-guides/encoding>): messages are written field by field,
//! answers are read field by field. It knows no message. Pure.

/// How a field's value is laid out; its number in the format.
#[derive(Debug, Clone, Copy)]
enum WireType {
    Varint = 0,
    SixtyFourBits = 1,
    LengthDelimited = 2,
    ThirtyTwoBits = 5,
}

/// A message that is being written. As protobuf has it, what is empty or zero is left out, but by
/// the methods that say otherwise.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Writes a message inside this one, also an empty one.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.key(field, WireType::LengthDelimited);
        // How long it is stands before it, mostly in one byte.
        self.0.push(0);
        let start = self.0.len();
        write(self);
        let (length, used) = varint(length_of(&self.0[start..]));
        self.0[start - 1] = length[0];
        if used > 1 {
            self.0.splice(start..start, length[1..used].iter().copied());
        }
    }

    pub(super) fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    /// Bytes or text, also none.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, WireType::LengthDelimited);
        self.put_varint(length_of(bytes));
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn number(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.varint(field, number);
        }
    }

    /// A number, also zero.
    pub(super) fn varint(&mut self, field: u32, number: u64) {
        self.key(field, WireType::Varint);
        self.put_varint(number);
    }

    pub(super) fn fixed64(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.sixty_four_bits(field, number);
        }
    }

    /// A number of fixed size, also zero.
    pub(super) fn sixty_four_bits(&mut self, field: u32, bits: u64) {
        self.key(field, WireType::SixtyFourBits);
        self.0.extend(bits.to_le_bytes());
    }

    /// A number of fixed size, also zero.
    pub(super) fn thirty_two_bits(&mut self, field: u32, bits: u32) {
        self.key(field, WireType::ThirtyTwoBits);
        self.0.extend(bits.to_le_bytes());
    }

    fn key(&mut self, field: u32, wire_type: WireType) {
        self.put_varint(u64::from(field) << 3 | wire_type as u64);
    }

    fn put_varint(&mut self, number: u64) {
        let (bytes, used) = varint(number);
        self.0.extend_from_slice(&bytes[..used]);
    }
}

/// Seven bits a byte, the lowest first; all bytes but the last have the high bit set.
fn varint(mut number: u64) -> ([u8; LONGEST_VARINT], usize) {
    let (mut bytes, mut used) = ([0; LONGEST_VARINT], 0);
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        bytes[used] = if number == 0 { low } else { low | 0x80 };
        used += 1;
        if number == 0 {
            return (bytes, used);
        }
    }
}

const LONGEST_VARINT: usize = 10;

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The value of a field that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number, a truth value or an enumeration's.
    Varint(u64),
    /// Bytes, text or a message.
    Bytes(&'a [u8]),
    /// Of fixed size.
    Fixed,
}

/// The fields of a message, as they stand there; `None` if it is none.
pub(super) fn fields(message: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let (mut rest, mut fields) = (message, Vec::new());
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Varint(take_varint(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                Value::Bytes(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| Value::Fixed)?,
            // Groups, which are older than OTLP, and what is no wire type.
            _ => return None,
        };
        fields.push((key >> 3, value));
    }
    Some(fields)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for index in 0..LONGEST_VARINT {
        let byte = *take(rest, 1)?.first()?;
        let bits = u64::from(byte & 0x7f).checked_shl(u32::try_from(index).ok()? * 7)?;
        number |= bits;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [u64; 9] = [0, 1, 127, 128, 300, 16_383, 16_384, u64::MAX - 1, u64::MAX];

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for number in NUMBERS {
            let mut message = Message::with_capacity(0);
            message.varint(3, number);
            message.number(4, number);
            message.sixty_four_bits(2000, number);
            message.thirty_two_bits(5, 7);
            let bytes = message.into_bytes();
            let read = fields(&bytes).unwrap();
            let twice = [(3, Value::Varint(number)), (4, Value::Varint(number))];
            let written = if number == 0 { &twice[..1] } else { &twice[..] };
            let fixed = [(2000, Value::Fixed), (5, Value::Fixed)];
            assert_eq!(read, [written, &fixed].concat());
        }
    }

    #[test]
    fn messages_of_every_length_are_read_as_they_were_written() {
        for length in [0, 1, 125, 126, 127, 128, 16_380, 16_383, 16_384, 3_000_000] {
            let content = vec![7; length];
            let mut outer = Message::with_capacity(0);
            outer.message(1, |inner| inner.bytes(2, &content));
            outer.message(9, |_| {});
            outer.text(4, "");
            let bytes = outer.into_bytes();
            let read = fields(&bytes).unwrap();
            let [(1, Value::Bytes(inner)), (9, Value::Bytes(&[]))] = read[..] else {
                panic!("{length}: {} fields", read.len());
            };
            assert_eq!(fields(inner).unwrap(), [(2, Value::Bytes(&content))]);
        }
    }

    #[test]
    fn what_is_no_message_has_no_fields() {
        let cut: [&[u8]; 6] =
            [b"<html>", &[0x08], &[0x08, 0x80], &[0x09, 1, 2], &[0x0a, 5, 1], &[0x0b, 0x0c]];
        let endless = [[0x08].as_slice(), &[0xff; 10]].concat();
        for bytes in cut.into_iter().chain([&endless[..]]) {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
        assert_eq!(fields(&[]), Some(Vec::new()));
    }
}
