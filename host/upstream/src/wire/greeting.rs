//! The first frame of an HTTP/2 connection.

use std::cell::Cell;

use tokio::sync::Notify;

/// Bytes of a frame's head (RFC 9113 4.1).
const HEAD: usize = 9;

/// The type of a `SETTINGS` frame (RFC 9113 6.5).
const SETTINGS: u8 = 4;

/// Waits for the first frame of an HTTP/2 connection, which is the upstream's `SETTINGS` (RFC 9113 3.4). Before it came
/// nobody knows how many streams are allowed, and those beyond are refused.
#[derive(Debug)]
pub(super) struct Greeting {
    state: Cell<State>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of the head came; the length they named so far.
    Head(usize, usize),
    /// So many bytes of the frame are missing.
    Payload(usize),
    /// It came.
    Came,
    /// Something else came, or the end.
    Never,
}

impl Greeting {
    pub(super) fn new() -> Self {
        Self { state: Cell::new(State::Head(0, 0)), changed: Notify::new() }
    }

    /// Reads the next bytes.
    pub(super) fn read(&self, bytes: &[u8]) {
        let before = self.state.get();
        if matches!(before, State::Came | State::Never) {
            return;
        }
        self.set(after(before, bytes));
    }

    /// Nothing comes any more.
    pub(super) fn end(&self) {
        if self.state.get() != State::Came {
            self.set(State::Never);
        }
    }

    fn set(&self, state: State) {
        self.state.set(state);
        if matches!(state, State::Came | State::Never) {
            self.changed.notify_one();
        }
    }

    /// Waits until it came; `false`: it never will.
    pub(super) async fn came(&self) -> bool {
        loop {
            match self.state.get() {
                State::Came => return true,
                State::Never => return false,
                _ => self.changed.notified().await,
            }
        }
    }
}

fn after(mut state: State, bytes: &[u8]) -> State {
    for (index, byte) in bytes.iter().enumerate() {
        state = match state {
            State::Head(at, length) if at < 3 => {
                State::Head(at + 1, length << 8 | usize::from(*byte))
            }
            State::Head(3, _) if *byte != SETTINGS => return State::Never,
            State::Head(at, length) if at + 1 == HEAD => State::Payload(length),
            State::Head(at, length) => State::Head(at + 1, length),
            State::Payload(missing) => {
                let here = bytes.len() - index;
                return if here >= missing { State::Came } else { State::Payload(missing - here) };
            }
            done => return done,
        };
    }
    if state == State::Payload(0) { State::Came } else { state }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], piece: usize) -> State {
        let greeting = Greeting::new();
        bytes.chunks(piece).for_each(|piece| greeting.read(piece));
        greeting.state.get()
    }

    #[test]
    fn the_first_frame_is_settings_and_whole() {
        let empty = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let one = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2];
        let cases: [(&[u8], bool, bool); 7] = [
            (&empty, true, false),
            (&one, true, false),
            (&[&one[..], b"more"].concat(), true, false),
            (&one[..14], false, false),
            (&empty[..8], false, false),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", false, true),
            (&[0, 0, 0, 6, 0, 0, 0, 0, 0], false, true),
        ];
        for (bytes, came, never) in cases {
            for piece in [1, 2, 9, 100] {
                let state = read(bytes, piece);
                assert_eq!(
                    (state == State::Came, state == State::Never),
                    (came, never),
                    "{bytes:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn who_waits_is_told() {
        let (came, ended) = (Greeting::new(), Greeting::new());
        let tell = async {
            tokio::task::yield_now().await;
            came.read(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
            ended.read(&[0]);
            ended.end();
            came.end(); // too late
        };
        assert_eq!(tokio::join!(came.came(), ended.came(), tell), (true, false, ()));
        assert!(came.came().await);
    }
}
