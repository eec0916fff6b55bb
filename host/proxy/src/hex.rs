//! Hexadecimal digits.

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Bytes that are written at once at most.
const MOST: usize = 16;

/// Appends bytes, up to 16 of them, as two digits each.
pub(crate) fn push(bytes: &[u8], out: &mut String) {
    let mut digits = [0; 2 * MOST];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    let written = digits.get(..2 * bytes.len()).unwrap_or(&digits);
    out.push_str(std::str::from_utf8(written).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_two_digits() {
        let mut text = "a".to_owned();
        push(&[0, 0x1f, 0xff], &mut text);
        push(&[], &mut text);
        assert_eq!(text, "a001fff");
        push(&[0xab; MOST], &mut text);
        assert_eq!(text.len(), 7 + 2 * MOST);
    }
}
