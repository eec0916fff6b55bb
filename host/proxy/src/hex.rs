//! Hexadecimal digits.

use bytes::Bytes;
use http::HeaderValue;

/// The two digits of each byte.
const DIGITS: [[u8; 2]; 256] = {
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [b"0123456789abcdef"[byte >> 4], b"0123456789abcdef"[byte & 15]];
        byte += 1;
    }
    digits
};

/// Writes bytes as two digits each, as far as there is room, and gives what comes behind.
pub(crate) fn write<'a>(bytes: &[u8], out: &'a mut [u8]) -> &'a mut [u8] {
    let (digits, rest) = out.split_at_mut((2 * bytes.len()).min(out.len()));
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&DIGITS[usize::from(*byte)]);
    }
    rest
}

/// Digits and hyphens as the value of a field. Its copies share it from the beginning.
pub(crate) fn value(text: &[u8]) -> HeaderValue {
    // A vector with room to spare becomes shared at once, instead of when it is copied first.
    let mut shared = Vec::with_capacity(text.len() + 1);
    shared.extend_from_slice(text);
    let value = HeaderValue::from_maybe_shared(Bytes::from(shared));
    value.unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_two_digits() {
        let mut text = *b"--------";
        let rest = write(&[0, 0x1f, 0xff], &mut text);
        assert_eq!(rest, b"--");
        assert_eq!(&text, b"001fff--");
        assert!(write(&[0xab; 4], &mut text).is_empty());
        write(&[0xcd; 4], &mut text[6..]);
        assert_eq!(&text, b"abababcd");
        assert_eq!(value(&text), "abababcd");
    }
}
