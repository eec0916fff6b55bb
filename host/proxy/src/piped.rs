//! A body on its way through filters, as a stream.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use edgewit_chain::{Answer, BodyPass, BodyPipe, Direction, Failed, Run};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::shared_run::SharedRun;

/// A body that goes through the filters that want it, a chunk at a time: nothing is read before it is asked for.
pub(crate) struct Piped<B> {
    source: B,
    pipe: Option<Pipe>,
    /// Passed and not yet taken.
    ready: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
    is_piped: bool,
}

struct Pipe {
    run: Rc<SharedRun>,
    machine: Machine,
}

/// What a body goes through.
enum Machine {
    Here(BodyPipe),
    /// It has a chunk and comes back with what became of it.
    Away(Pin<Box<dyn Future<Output = (BodyPipe, BodyPass)>>>),
    /// A filter panicked.
    Lost,
}

/// A part of a body, or why there is none.
pub(crate) type Part<E> = Result<Frame<Bytes>, Halt<E>>;

/// Why a body went no further.
#[derive(Debug)]
pub(crate) enum Halt<E> {
    /// The source broke off.
    Broken(E),
    /// A filter answered.
    Answer(Box<Answer>),
    /// A filter cut it.
    Cut,
    /// It is longer than a filter that wants it whole allows.
    TooLarge,
    /// A filter failed.
    Failed(Failed),
}

impl<B: Body<Data = Bytes> + Unpin> Piped<B> {
    /// `run`: whose filters see it.
    pub(crate) fn new(source: B, run: Option<&Rc<SharedRun>>, direction: Direction) -> Self {
        let pipe = run.and_then(|run| {
            let machine = BodyPipe::new(&run.borrow(), direction)?;
            Some(Pipe { machine: Machine::Here(machine), run: Rc::clone(run) })
        });
        let is_piped = pipe.is_some();
        Self {
            ended: pipe.is_none() && source.is_end_stream(),
            source,
            pipe,
            ready: VecDeque::new(),
            trailers: None,
            is_piped,
        }
    }

    /// Whether any filter sees it, so that it may change.
    pub(crate) fn is_piped(&self) -> bool {
        self.is_piped
    }

    /// Whether a filter holds the body back.
    pub(crate) fn is_held(&self) -> bool {
        self.pipe.as_ref().is_some_and(Pipe::holds) && !self.has_ended()
    }

    /// Reads until no filter holds the body back any more.
    pub(crate) async fn release(&mut self) -> Result<(), Halt<B::Error>> {
        while self.is_held() {
            poll_fn(|cx| self.poll_read(cx)).await?;
        }
        Ok(())
    }

    /// All of it, if it ends within this many bytes and without trailers.
    pub(crate) async fn collect(&mut self, most: usize) -> Result<Option<Bytes>, Halt<B::Error>> {
        while !self.has_ended() && self.held() <= most {
            poll_fn(|cx| self.poll_read(cx)).await?;
        }
        Ok(self.take_whole(most))
    }

    /// Whether nothing more comes from the source, so that reading to the end waits for nobody.
    pub(crate) fn has_all(&self) -> bool {
        self.ended || self.source.is_end_stream()
    }

    /// All of it, if it is here already.
    pub(crate) fn take_whole(&mut self, most: usize) -> Option<Bytes> {
        if !self.has_ended() || self.trailers.is_some() || self.held() > most {
            return None;
        }
        let mut chunks = std::mem::take(&mut self.ready);
        if chunks.len() < 2 {
            return Some(chunks.pop_front().unwrap_or_default());
        }
        Some(
            chunks
                .into_iter()
                .fold(Vec::new(), |mut whole, chunk| {
                    whole.extend_from_slice(&chunk);
                    whole
                })
                .into(),
        )
    }

    fn held(&self) -> usize {
        self.ready.iter().map(Bytes::len).sum()
    }

    /// The next part.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part<B::Error>>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            if self.has_ended() {
                return Poll::Ready(self.trailers.take().map(|t| Ok(Frame::trailers(t))));
            }
            if let Err(halt) = ready!(self.poll_read(cx)) {
                return Poll::Ready(Some(Err(halt)));
            }
        }
    }

    /// Reads a part and puts what passes to what is ready.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Halt<B::Error>>> {
        if self.is_away() {
            return self.poll_passed(cx);
        }
        let frame = ready!(Pin::new(&mut self.source).poll_frame(cx));
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => self.pass(cx, chunk, false),
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    self.end(cx)
                }
            },
            Some(Err(error)) => Poll::Ready(self.halted(Halt::Broken(error))),
            None => self.end(cx),
        }
    }

    fn end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Halt<B::Error>>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        self.ended = true;
        self.pass(cx, Bytes::new(), true)
    }

    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        chunk: Bytes,
        end: bool,
    ) -> Poll<Result<(), Halt<B::Error>>> {
        let Some(pipe) = &mut self.pipe else {
            if !chunk.is_empty() {
                self.ready.push_back(chunk);
            }
            return Poll::Ready(Ok(()));
        };
        match pipe.push(chunk, end) {
            Some(pass) => Poll::Ready(self.passed(pass)),
            None => self.poll_passed(cx),
        }
    }

    /// Waits for the chunk that is away.
    fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Halt<B::Error>>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(())) };
        let pass = ready!(pipe.poll_back(cx));
        Poll::Ready(pass.map_or(Ok(()), |pass| self.passed(pass)))
    }

    fn passed(&mut self, pass: BodyPass) -> Result<(), Halt<B::Error>> {
        match pass {
            BodyPass::Forward(chunks) => {
                self.ready.extend(chunks);
                Ok(())
            }
            BodyPass::Answer(answer) => self.halted(Halt::Answer(answer)),
            BodyPass::Cut => self.halted(Halt::Cut),
            BodyPass::TooLarge(_) => self.halted(Halt::TooLarge),
            BodyPass::Failed(failed) => self.halted(Halt::Failed(failed)),
        }
    }

    fn halted(&mut self, halt: Halt<B::Error>) -> Result<(), Halt<B::Error>> {
        self.ended = true;
        self.pipe = None;
        Err(halt)
    }

    fn is_away(&self) -> bool {
        self.pipe.as_ref().is_some_and(|pipe| matches!(pipe.machine, Machine::Away(_)))
    }

    /// Whether all of it has come and gone through the filters.
    fn has_ended(&self) -> bool {
        self.ended && !self.is_away()
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let source_ended = self.pipe.is_none() && self.source.is_end_stream();
        (self.has_ended() || source_ended) && self.ready.is_empty() && self.trailers.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match (self.has_ended(), self.is_piped) {
            (true, _) if self.trailers.is_none() => SizeHint::with_exact(self.held() as u64),
            (false, false) => self.source.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

impl Pipe {
    /// Whether a filter still holds the body back, as far as one can tell.
    fn holds(&self) -> bool {
        match &self.machine {
            Machine::Here(machine) => machine.holds(),
            Machine::Away(_) => true,
            Machine::Lost => false,
        }
    }

    /// What becomes of a chunk; `None`: it is away.
    fn push(&mut self, chunk: Bytes, end: bool) -> Option<BodyPass> {
        let Machine::Here(mut machine) = std::mem::replace(&mut self.machine, Machine::Lost) else {
            return Some(BodyPass::Cut);
        };
        let phases = machine.phases();
        if let Some(mut run) = self.run.at_hand(phases) {
            let pass = machine.push(&mut run, chunk, end);
            self.machine = Machine::Here(machine);
            return Some(pass);
        }
        let run = Rc::clone(&self.run);
        self.machine = Machine::Away(Box::pin(async move {
            let push = move |run: &mut Run| {
                let pass = machine.push(run, chunk, end);
                (machine, pass)
            };
            run.step(phases, push).await
        }));
        None
    }

    /// What became of the chunk that is away, if one is.
    fn poll_back(&mut self, cx: &mut Context<'_>) -> Poll<Option<BodyPass>> {
        let Machine::Away(back) = &mut self.machine else { return Poll::Ready(None) };
        let (machine, pass) = ready!(back.as_mut().poll(cx));
        self.machine = Machine::Here(machine);
        Poll::Ready(Some(pass))
    }
}
