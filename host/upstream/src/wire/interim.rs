//! How many informational responses stand before a response.

/// Informational responses before a response at most (THREATS B1). A server that has something to say says it once or
/// twice; hyper takes any number.
const MOST: u8 = 8;

/// The begin of an informational response. The byte that is 0 may be any: the minor version.
const BEGIN: &[u8; 10] = b"HTTP/1.\0 1";

/// Counts the informational responses (RFC 9110 15.2) before a response, from the bytes of an HTTP/1.1 connection. hyper
/// drops them without a word, and its callback would cost every request two allocations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interim {
    state: State,
    count: u8,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many bytes of [`BEGIN`] came.
    Begin(usize),
    /// In the head of an informational response, and whether a line begins.
    Head { line: bool },
    /// The response itself: nothing behind it is looked at.
    Response,
}

impl Interim {
    pub(super) fn new() -> Self {
        Self { state: State::Begin(0), count: 0 }
    }

    /// Reads the next bytes; whether there were too many informational responses.
    pub(super) fn read(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match self.state {
                State::Response => break,
                State::Begin(at) => self.begin(at, *byte),
                State::Head { line } => self.head(line, *byte),
            }
        }
        self.count > MOST
    }

    fn begin(&mut self, at: usize, byte: u8) {
        let expected = BEGIN.get(at).copied();
        self.state = match expected {
            Some(0) => State::Begin(at + 1),
            Some(b'1') if at + 1 == BEGIN.len() && byte == b'1' => {
                self.count = self.count.saturating_add(1);
                State::Head { line: false }
            }
            Some(expected) if expected == byte => State::Begin(at + 1),
            _ if at == 0 && matches!(byte, b'\r' | b'\n') => State::Begin(0), // hyper skips empty lines
            _ => State::Response,
        };
    }

    fn head(&mut self, line: bool, byte: u8) {
        self.state = match byte {
            b'\n' if line => State::Begin(0),
            b'\n' => State::Head { line: true },
            b'\r' => State::Head { line },
            _ => State::Head { line: false },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";

    fn is_flood(text: &str, piece: usize) -> bool {
        let mut interim = Interim::new();
        text.as_bytes().chunks(piece).any(|bytes| interim.read(bytes))
    }

    #[test]
    fn informational_responses_are_counted_up_to_the_response() {
        let most = usize::from(MOST);
        let end = "HTTP/1.1 200 OK\r\n\r\n";
        let behind = HINT.repeat(20);
        let bare = "HTTP/1.1 100 Continue\n\n";
        let cases = [
            (end.to_owned(), false),
            (HINT.repeat(most) + end, false),
            (HINT.repeat(most + 1), true),
            (format!("{end}{behind}"), false),
            (format!("{HINT}{end}{behind}"), false),
            (bare.repeat(most + 1), true),
            (format!("\r\n{HINT}").repeat(most + 1), true),
            (format!("garbage{behind}"), false),
        ];
        for (text, expected) in cases {
            for piece in [1, 3, 7, 1_000] {
                assert_eq!(is_flood(&text, piece), expected, "{text:?} in pieces of {piece}");
            }
        }
    }
}
