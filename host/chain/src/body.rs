//! A body on its way through the filters that want to see it.

use bytes::Bytes;

use crate::{
    needs::BodyMode,
    phase::{Phase, Phases},
    run::{Failed, Run},
    stop::{Stop, StopReason},
    verdict::{Answer, BodyVerdict},
};

/// Which body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client, in chain order.
    Request,
    /// To the client, in reverse chain order.
    Response,
}

/// One body on its way through the filters of a run that want to see it, as a machine without input or output: chunks
/// go in, chunks come out.
#[derive(Debug)]
pub struct BodyPipe {
    direction: Direction,
    stages: Vec<Stage>,
}

/// What came out.
#[derive(Debug)]
pub enum BodyPass {
    /// These bytes go on; there may be none yet.
    Forward(Vec<Bytes>),
    /// A filter answered in its place.
    Answer(Box<Answer>),
    /// A filter cut it.
    Cut,
    /// It is longer than a filter that buffers it allows, in bytes.
    TooLarge(u32),
    /// A filter failed.
    Failed(Failed),
}

#[derive(Debug)]
struct Stage {
    index: usize,
    mode: BodyMode,
    held: Vec<u8>,
    decided: bool,
}

/// Largest chunk that a filter is shown in mode `stream`, in bytes.
const MAX_CHUNK: usize = 64 << 10;

impl BodyPipe {
    /// The pipe of one body, made when the head phases of its direction are over. `None` if no filter wants to see it.
    pub fn new(run: &Run, direction: Direction) -> Option<Self> {
        let phase = direction.phase();
        let stage = |index: usize| {
            let needs = run.needs(index);
            let mode = match direction {
                Direction::Request => needs.request_body,
                Direction::Response => needs.response_body,
            };
            let wanted = mode != BodyMode::None;
            wanted.then(|| Stage { index, mode, held: Vec::new(), decided: false })
        };
        let mut stages: Vec<Stage> = run.participants(phase).filter_map(stage).collect();
        if direction == Direction::Response {
            stages.reverse();
        }
        (!stages.is_empty()).then_some(Self { direction, stages })
    }

    /// Does a filter still hold the body back to decide about it? Until it does not, nothing may be forwarded.
    pub fn holds(&self) -> bool {
        self.stages.iter().any(Stage::holds)
    }

    /// The phases in which filters are asked about it.
    pub fn phases(&self) -> Phases {
        Phases::NONE.with(self.direction.phase())
    }

    /// Puts a chunk in. `end`: nothing follows; then this must be the last call.
    pub fn push(&mut self, run: &mut Run, chunk: Bytes, end: bool) -> BodyPass {
        let mut chunks = if chunk.is_empty() { Vec::new() } else { vec![chunk] };
        for stage in &mut self.stages {
            match stage.feed(run, self.direction, chunks, end) {
                Ok(passed) => chunks = passed,
                Err(pass) => return pass,
            }
        }
        BodyPass::Forward(chunks)
    }
}

impl Direction {
    fn phase(self) -> Phase {
        match self {
            Direction::Request => Phase::RequestBody,
            Direction::Response => Phase::ResponseBody,
        }
    }
}

impl Stage {
    fn holds(&self) -> bool {
        !self.decided && matches!(self.mode, BodyMode::Peek(_) | BodyMode::Buffer(_))
    }

    fn feed(
        &mut self,
        run: &mut Run,
        direction: Direction,
        chunks: Vec<Bytes>,
        end: bool,
    ) -> Result<Vec<Bytes>, BodyPass> {
        match self.mode {
            _ if self.decided => Ok(chunks),
            BodyMode::None => Ok(chunks),
            BodyMode::Peek(limit) => self.peek(run, direction, chunks, end, limit as usize),
            BodyMode::Buffer(limit) => {
                for chunk in &chunks {
                    if self.held.len() + chunk.len() > limit as usize {
                        return Err(BodyPass::TooLarge(limit));
                    }
                    self.held.extend_from_slice(chunk);
                }
                if !end {
                    return Ok(Vec::new());
                }
                self.decided = true;
                let whole = Bytes::from(std::mem::take(&mut self.held));
                self.ask(run, direction, whole, true)
            }
            BodyMode::Stream => self.stream(run, direction, chunks, end),
        }
    }

    fn peek(
        &mut self,
        run: &mut Run,
        direction: Direction,
        chunks: Vec<Bytes>,
        end: bool,
        limit: usize,
    ) -> Result<Vec<Bytes>, BodyPass> {
        for chunk in chunks {
            self.held.extend_from_slice(&chunk);
        }
        if self.held.len() < limit && !end {
            return Ok(Vec::new());
        }
        self.decided = true;
        let mut seen = Bytes::from(std::mem::take(&mut self.held));
        let rest = seen.split_off(limit.min(seen.len()));
        let mut out = self.ask(run, direction, seen, end && rest.is_empty())?;
        if !rest.is_empty() {
            out.push(rest);
        }
        Ok(out)
    }

    fn stream(
        &mut self,
        run: &mut Run,
        direction: Direction,
        chunks: Vec<Bytes>,
        end: bool,
    ) -> Result<Vec<Bytes>, BodyPass> {
        let mut parts: Vec<Bytes> = chunks.into_iter().flat_map(split).collect();
        if end && parts.is_empty() {
            parts.push(Bytes::new());
        }
        let last = parts.len().wrapping_sub(1);
        let mut out = Vec::with_capacity(parts.len());
        for (n, part) in parts.into_iter().enumerate() {
            out.extend(self.ask(run, direction, part, end && n == last)?);
        }
        Ok(out)
    }

    fn ask(
        &mut self,
        run: &mut Run,
        direction: Direction,
        chunk: Bytes,
        end: bool,
    ) -> Result<Vec<Bytes>, BodyPass> {
        let verdict =
            run.body(self.index, direction.phase(), &chunk, end).map_err(BodyPass::Failed)?;
        let kept = |bytes: Bytes| if bytes.is_empty() { Vec::new() } else { vec![bytes] };
        match verdict {
            Some(BodyVerdict::Pass) => Ok(kept(chunk)),
            Some(BodyVerdict::Replace(bytes)) => Ok(kept(bytes)),
            Some(BodyVerdict::Cut) => Err(BodyPass::Cut),
            Some(BodyVerdict::Answer(answer)) if self.may_answer(direction) => {
                Err(BodyPass::Answer(Box::new(answer)))
            }
            Some(BodyVerdict::Answer(_)) => {
                let stop = Stop::new(StopReason::Abi, "answered after the response had begun");
                run.fail(self.index, direction.phase(), stop).map_err(BodyPass::Failed)?;
                self.decided = true;
                Ok(kept(chunk))
            }
            None => {
                self.decided = true;
                Ok(kept(chunk))
            }
        }
    }

    fn may_answer(&self, direction: Direction) -> bool {
        direction == Direction::Request || self.mode != BodyMode::Stream
    }
}

fn split(mut chunk: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let part = chunk.split_to(chunk.len().min(MAX_CHUNK));
        (!part.is_empty()).then_some(part)
    })
}
