//! Frames of HTTP/2 (RFC 9113) that no client library would send.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const GO_AWAY: u8 = 0x7;
/// END_STREAM and END_HEADERS.
const WHOLE: u8 = 0x5;
/// CANCEL.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// Bytes of the head of a frame.
const HEAD: usize = 9;

/// A connection on which streams are opened and reset at once.
pub(crate) fn resets(authority: &str, path: &str, streams: u32) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    // GET and http by index; path and authority as literals that are not to be remembered (RFC 7541 6.2.2).
    let mut fields = vec![0x82, 0x86];
    for (index, value) in [(4, path), (1, authority)] {
        fields.extend_from_slice(&[index, value.len() as u8]);
        fields.extend_from_slice(value.as_bytes());
    }
    for stream in (1..).step_by(2).take(streams as usize) {
        frame(&mut bytes, HEADERS, WHOLE, stream, &fields);
        frame(&mut bytes, RST_STREAM, 0, stream, &CANCEL);
    }
    bytes
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Is there a frame GOAWAY among these?
pub(crate) fn has_go_away(mut bytes: &[u8]) -> bool {
    while let Some((head, rest)) = bytes.split_at_checked(HEAD) {
        if head[3] == GO_AWAY {
            return true;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        bytes = rest.get(length..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_again() {
        let mut bytes = resets("a", "/", 3);
        let frames = bytes.split_off(PREFACE.len());
        assert_eq!(frames.len(), HEAD + 3 * (HEAD + 2 + 3 + 3 + HEAD + 4));
        assert!(!has_go_away(&frames));
        let mut ended = frames.clone();
        frame(&mut ended, GO_AWAY, 0, 0, &[0; 8]);
        assert!(has_go_away(&ended));
    }
}
