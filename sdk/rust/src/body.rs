//! A piece of a body, for the phases `request-body` and `response-body`.

use crate::answer::Answer;
use crate::outcome::Returns;
use crate::state::State;

/// A piece of a body, in the mode that `needs` declared.
#[derive(Debug)]
pub struct Chunk {
    /// The bytes; may be empty. Taking them out to change them in place copies nothing.
    pub bytes: Vec<u8>,
    /// Nothing follows. In mode `peek`: these bytes are the whole body.
    pub end: bool,
    /// What phases of this exchange leave for each other.
    pub state: State,
}

/// What is done with a piece of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It goes on as it is; nothing is copied back.
    Pass,
    /// These bytes go on instead; may be empty, may be longer.
    Replace(Vec<u8>),
    /// Answered here, while that is still possible.
    Answer(Answer),
    /// The body ends here and is seen to be incomplete.
    Cut,
}

impl Chunk {
    pub(crate) fn new(bytes: Vec<u8>, end: bool, state: Vec<u8>) -> Self {
        Chunk { bytes, end, state: State::new(state) }
    }
}

impl Returns<Verdict> for Verdict {
    fn returns(self) -> Result<Verdict, String> {
        Ok(self)
    }
}
