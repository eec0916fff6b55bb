//! A response on its way to the client.

pub(crate) mod grpc;

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use edgewit_chain::{Answer, Direction, ResponseHead, SummaryEnding};
use edgewit_upstream::{BodyError, InBody};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};

use crate::{
    compress::Coder,
    finish::Finish,
    guard::X_REQUEST_ID,
    http::StreamWatch,
    piped::{Halt, Piped},
    policy,
    problem::Problem,
    proxy_status::{self, ProxyError},
    shared_run::SharedRun,
    upgrade::Switched,
};

/// A response, before it is sent.
pub(crate) struct Reply {
    pub(crate) head: ResponseHead,
    pub(crate) source: Source,
    /// What went wrong, in a word.
    pub(crate) error: Option<&'static str>,
    /// Whether the connection ends with it.
    pub(crate) close: bool,
    /// Names of trailers that the upstream announced.
    pub(crate) trailers: Option<HeaderValue>,
}

/// Where a response's body comes from.
pub(crate) enum Source {
    Empty,
    Full(Bytes),
    Upstream(Box<InBody>),
    /// None: the connection leaves HTTP.
    Switched(Box<Switched>),
}

/// The body of a response, with all that must last until its end.
pub(crate) struct ReplyBody {
    piped: Piped<Source>,
    /// A filter cut the body before anything of it was sent.
    cut: bool,
    watch: Option<Rc<StreamWatch>>,
    /// `None`: another one ends the request.
    finish: Option<Box<Finish>>,
    coder: Option<Box<Coder>>,
}

/// A response was cut. hyper closes the connection, or resets the stream, without an end of the message.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut")]
pub(crate) struct Cut;

impl Reply {
    /// An answer of a filter.
    pub(crate) fn answer(answer: Answer) -> Self {
        let body = answer.body.clone();
        Self::full(answer.into_head(), body)
    }

    /// A response with a whole body.
    pub(crate) fn full(head: ResponseHead, body: Bytes) -> Self {
        Self { head, source: Source::Full(body), error: None, close: false, trailers: None }
    }

    /// Makes the response: framing, fields of the host, and the body through the filters that want it. `Err`: it is whole
    /// already, since the connection leaves HTTP.
    pub(crate) fn sending(
        mut self,
        run: Option<&Rc<SharedRun>>,
        watch: Option<Rc<StreamWatch>>,
        mut finish: Box<Finish>,
    ) -> Result<Sending, Box<Response<ReplyBody>>> {
        if matches!(self.source, Source::Switched(_)) {
            match std::mem::replace(&mut self.source, Source::Empty) {
                Source::Switched(switched)
                    if self.head.status == StatusCode::SWITCHING_PROTOCOLS =>
                {
                    return Err(Box::new(switch(self.head, *switched, watch, finish)));
                }
                _ => {} // a filter made something else of it: the upstream's connection is closed
            }
        }
        if opens_tunnel(finish.method(), self.head.status) {
            finish.blame(ProxyError::UpgradeFailed);
            self = Problem::BadGateway.into_reply(finish.request_id());
            policy::shape(&finish, &mut self);
        }
        self = self.of_host(&finish);
        let bodiless = is_bodiless(finish.method(), self.head.status);
        if bodiless {
            self.keep_length_only(finish.method());
        }
        let source = std::mem::replace(&mut self.source, Source::Empty);
        let piped = Piped::new(source, run.filter(|_| !bodiless), Direction::Response);
        Ok(Sending { reply: self, piped, cut: false, bodiless, watch, finish })
    }

    /// What the host answers by itself says why, and says it so that the client understands it.
    fn of_host(mut self, finish: &Finish) -> Self {
        if matches!(self.source, Source::Upstream(_) | Source::Switched(_)) {
            return self;
        }
        if let Some(word) = self.error {
            proxy_status::write(&mut self.head.fields, word, self.head.status, finish.blamed());
        }
        if finish.is_grpc() { grpc::translated(self) } else { self }
    }

    /// A response to HEAD, 204 and 304 have no body, whatever filter or upstream say (RFC 9110 6.4.1).
    fn keep_length_only(&mut self, method: &Method) {
        let source = std::mem::replace(&mut self.source, Source::Empty);
        if let (Source::Full(body), &Method::HEAD) = (source, method) {
            self.head.fields.insert(header::CONTENT_LENGTH, body.len().into());
        }
        if method != Method::HEAD {
            self.head.fields.remove(header::CONTENT_LENGTH);
        }
    }

    /// Bytes of the body, or of the one that a response to HEAD does not have; `None` if nobody knows.
    fn length(&self, bodiless: bool, piped: &Piped<Source>) -> Option<u64> {
        if !bodiless {
            return piped.size_hint().exact();
        }
        self.head.fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    fn add_fields(&mut self, bodiless: bool, finish: &Finish) {
        let fields = &mut self.head.fields;
        fields.insert(X_REQUEST_ID, finish.identity().id_field());
        if finish.version() == Version::HTTP_2 {
            return;
        }
        if self.close || finish.is_last() {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // Over HTTP/1.1 trailers must be announced; over HTTP/2 they need not be.
        if let Some(names) = self.trailers.take().filter(|_| !bodiless) {
            fields.insert(header::TRAILER, names);
        }
    }
}

/// A response whose body has begun its way.
pub(crate) struct Sending {
    reply: Reply,
    piped: Piped<Source>,
    cut: bool,
    bodiless: bool,
    watch: Option<Rc<StreamWatch>>,
    finish: Box<Finish>,
}

impl Sending {
    /// Whether a filter holds the body back.
    pub(crate) fn is_held(&self) -> bool {
        self.piped.is_held()
    }

    /// Reads until no filter holds the body back any more; something else is sent if one halts it.
    pub(crate) async fn released(mut self, run: Option<&Rc<SharedRun>>) -> Self {
        match self.piped.release().await {
            Ok(()) => {}
            Err(Halt::Cut) => self.cut = true,
            Err(halt) => {
                if matches!(halt, Halt::Broken(BodyError::Upstream(_))) {
                    self.finish.blame(ProxyError::ResponseIncomplete);
                }
                let mut reply = replaced(halt, self.finish.request_id());
                if let Some(run) = run {
                    run.here().await; // the request's body may still be on its way
                }
                policy::shape(&self.finish, &mut reply);
                self.reply = reply.of_host(&self.finish);
                let source = std::mem::replace(&mut self.reply.source, Source::Empty);
                self.piped = Piped::new(source, None, Direction::Response);
            }
        }
        self
    }

    /// The response.
    pub(crate) fn into_response(self) -> Response<ReplyBody> {
        let Self { mut reply, piped, cut, bodiless, watch, mut finish } = self;
        if piped.is_piped() || !matches!(piped.size_hint().exact(), None | Some(0)) {
            // The length is what the body says it is; hyper writes it.
            reply.head.fields.remove(header::CONTENT_LENGTH);
        }
        let length = reply.length(bodiless, &piped);
        let coding = policy::coding(&finish, &mut reply, length);
        let coder = coding.filter(|_| !bodiless).map(|coding| Box::new(Coder::new(coding)));
        reply.add_fields(bodiless, &finish);
        finish.answered(reply.head.status, reply.error);
        let body = ReplyBody { piped, cut, watch, finish: Some(finish), coder };
        let mut response = Response::new(body);
        *response.status_mut() = reply.head.status;
        *response.headers_mut() = reply.head.fields;
        response
    }
}

/// The response that says that the connection leaves HTTP.
fn switch(
    mut head: ResponseHead,
    switched: Switched,
    watch: Option<Rc<StreamWatch>>,
    mut finish: Box<Finish>,
) -> Response<ReplyBody> {
    let fields = &mut head.fields;
    fields.insert(X_REQUEST_ID, finish.identity().id_field());
    let status = switched.head(fields);
    finish.answered(status, None);
    switched.begin(finish, watch);
    let piped = Piped::new(Source::Empty, None, Direction::Response);
    let mut response =
        Response::new(ReplyBody { piped, cut: false, watch: None, finish: None, coder: None });
    *response.status_mut() = status;
    *response.headers_mut() = head.fields;
    response
}

/// Whether the client would take this for the begin of another protocol, behind which there is nobody: a `101`, and over
/// HTTP/2 any success (RFC 8441 5). Only an upstream opens one.
fn opens_tunnel(method: &Method, status: StatusCode) -> bool {
    status.is_informational() || (method == Method::CONNECT && status.is_success())
}

fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// What is sent when a filter halts the body before anything of it was sent.
fn replaced(halt: Halt<BodyError>, request_id: &str) -> Reply {
    let problem = match halt {
        Halt::Answer(answer) => return Reply::answer(*answer),
        Halt::Broken(error) => error.into(),
        Halt::Failed(failed) => failed.into(),
        Halt::TooLarge | Halt::Cut => Problem::ResponseTooLarge,
    };
    problem.into_reply(request_id)
}

impl Body for Source {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Source::Upstream(body) => Pin::new(&mut **body).poll_frame(cx),
            Source::Empty | Source::Switched(_) => Poll::Ready(None),
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Source::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Source::Upstream(body) => body.is_end_stream(),
            Source::Empty | Source::Switched(_) => true,
            Source::Full(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Source::Upstream(body) => body.size_hint(),
            Source::Empty | Source::Switched(_) => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if let Some(watch) = &this.watch {
            ready!(watch.poll_asked(cx));
        }
        if std::mem::take(&mut this.cut) {
            this.ended(Some(SummaryEnding::HostCut));
            return Poll::Ready(Some(Err(Cut)));
        }
        let next = match &mut this.coder {
            Some(coder) => coder.poll_next(&mut this.piped, cx),
            None => this.piped.poll_next(cx),
        };
        let Poll::Ready(next) = next else { return Poll::Pending };
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                this.handed(&frame);
                Some(Ok(frame))
            }
            Some(Err(halt)) => {
                this.ended(Some(match halt {
                    Halt::Broken(BodyError::Upstream(_)) => SummaryEnding::UpstreamCut,
                    Halt::Broken(BodyError::Client(_)) => SummaryEnding::ClientGone,
                    _ => SummaryEnding::HostCut,
                }));
                Some(Err(Cut))
            }
            None => {
                this.ended(None);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        !self.cut && self.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        let is_known = !self.cut && self.coder.is_none();
        if is_known { self.piped.size_hint() } else { SizeHint::default() }
    }
}

impl ReplyBody {
    /// `cut`: how, if it did not come to its end.
    fn ended(&mut self, cut: Option<SummaryEnding>) {
        match (&mut self.finish, cut) {
            (Some(finish), Some(ending)) => finish.cut(ending),
            (Some(finish), None) => finish.complete(),
            (None, _) => {}
        }
    }

    fn has_ended(&self) -> bool {
        self.coder.as_ref().map_or(self.piped.is_end_stream(), |coder| coder.is_end_stream())
    }

    fn handed(&mut self, frame: &Frame<Bytes>) {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if let Some(finish) = &mut self.finish {
            finish.sent(bytes);
        }
        let has_ended = self.has_ended();
        if has_ended {
            self.ended(None); // nobody may ask again
        }
        if let Some(watch) = &self.watch {
            watch.handed(bytes);
            if has_ended {
                watch.served();
            }
        }
    }
}

/// The fields of a response that says only what it is.
pub(crate) fn plain_text() -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(4);
    let value = HeaderValue::from_static("text/plain; charset=utf-8");
    fields.insert(header::CONTENT_TYPE, value);
    fields
}
