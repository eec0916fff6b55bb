//! Between the records of the contract and the chain's own types.

use bytes::Bytes;
use edgewit_chain::{
    Answer, Attempt, AuthVerdict, BodyMode, BodyVerdict, Edit, Ending, Facts, Failure, HeaderOut,
    Needs, RequestVerdict, ResponseVerdict, RetryVerdict, RoutingVerdict, Stop, StopReason,
    Summary, SummaryEnding,
};
use http::{HeaderName, StatusCode};

use crate::bindings::{
    edgewit::filter::types,
    exports::edgewit::filter::{
        auth, request, request_body, response, response_body, retry, routing, telemetry,
    },
};

/// Fields that `needs` may declare in each direction.
const MAX_DECLARED: usize = 64;

/// Checks what `configure` returned; the error is in words for the operator. `memory` bounds what can be buffered.
pub(crate) fn needs(needs: types::Needs, memory: u64) -> Result<Needs, String> {
    let (request_fields, all_request_fields) = declared(&needs.request_fields)?;
    let (response_fields, all_response_fields) = declared(&needs.response_fields)?;
    Ok(Needs {
        facts: facts(needs.facts),
        request_fields,
        all_request_fields,
        response_fields,
        all_response_fields,
        request_body: body_mode(needs.request_body, memory)?,
        response_body: body_mode(needs.response_body, memory)?,
    })
}

fn declared(names: &[String]) -> Result<(Vec<HeaderName>, bool), String> {
    if names.len() > MAX_DECLARED {
        return Err(format!("declares {} fields, at most {MAX_DECLARED}", names.len()));
    }
    let all = names.iter().any(|n| n == "*");
    // `*` keeps its place in the list, because positions are slots; as a token it is even a field name.
    let named = names.iter().map(|name| {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("declares `{}`, which is no field name", name.escape_debug()))
    });
    Ok((named.collect::<Result<_, _>>()?, all))
}

pub(crate) fn facts(facts: types::Facts) -> Facts {
    let pairs = [
        (types::Facts::METHOD, edgewit_chain::Fact::Method),
        (types::Facts::SCHEME, edgewit_chain::Fact::Scheme),
        (types::Facts::AUTHORITY, edgewit_chain::Fact::Authority),
        (types::Facts::PATH, edgewit_chain::Fact::Path),
        (types::Facts::QUERY, edgewit_chain::Fact::Query),
        (types::Facts::CLIENT_ADDRESS, edgewit_chain::Fact::ClientAddress),
        (types::Facts::PROTOCOL, edgewit_chain::Fact::Protocol),
        (types::Facts::LISTENER, edgewit_chain::Fact::Listener),
        (types::Facts::ROUTE, edgewit_chain::Fact::Route),
        (types::Facts::REQUEST_ID, edgewit_chain::Fact::RequestId),
        (types::Facts::SUBJECT, edgewit_chain::Fact::Subject),
        (types::Facts::UPSTREAM, edgewit_chain::Fact::Upstream),
        (types::Facts::CLIENT_IDENTITY, edgewit_chain::Fact::ClientIdentity),
    ];
    let wanted = pairs.into_iter().filter(|(flag, _)| facts.contains(*flag));
    wanted.fold(Facts::default(), |sum, (_, fact)| sum.with(fact))
}

fn body_mode(mode: types::BodyMode, memory: u64) -> Result<BodyMode, String> {
    let bounded = |bytes: u32| {
        if u64::from(bytes) > memory {
            Err(format!("wants {bytes} bytes of a body at once, more than its memory of {memory}"))
        } else {
            Ok(bytes)
        }
    };
    Ok(match mode {
        types::BodyMode::None => BodyMode::None,
        types::BodyMode::Peek(bytes) => BodyMode::Peek(bounded(bytes)?),
        types::BodyMode::Buffer(bytes) => BodyMode::Buffer(bounded(bytes)?),
        types::BodyMode::Stream => BodyMode::Stream,
    })
}

pub(crate) fn auth(verdict: auth::Verdict) -> Result<AuthVerdict, Stop> {
    Ok(match verdict {
        auth::Verdict::Allow(grant) => {
            AuthVerdict::Allow { subject: subject(grant.subject)?, edits: edits(grant.edits) }
        }
        auth::Verdict::Deny(a) => AuthVerdict::Deny(answer(a)?),
    })
}

/// Longest subject, in bytes: what certificates and tokens carry stays far below.
const MAX_SUBJECT: usize = 1_024;

fn subject(subject: Option<String>) -> Result<Option<String>, Stop> {
    match subject {
        Some(s) if s.len() > MAX_SUBJECT || s.chars().any(char::is_control) => {
            Err(abi(format!("the subject is longer than {MAX_SUBJECT} bytes or has controls")))
        }
        subject => Ok(subject),
    }
}

pub(crate) fn routing(verdict: routing::Verdict) -> Result<RoutingVerdict, Stop> {
    Ok(match verdict {
        routing::Verdict::Stay => RoutingVerdict::Stay,
        routing::Verdict::Choose(choice) => RoutingVerdict::Choose {
            upstream: choice.upstream,
            path: choice.path,
            edits: edits(choice.edits),
        },
        routing::Verdict::Answer(a) => RoutingVerdict::Answer(answer(a)?),
    })
}

pub(crate) fn request(verdict: request::Verdict) -> Result<RequestVerdict, Stop> {
    Ok(match verdict {
        request::Verdict::Proceed(list) => RequestVerdict::Proceed(edits(list)),
        request::Verdict::Answer(a) => RequestVerdict::Answer(answer(a)?),
    })
}

pub(crate) fn request_body(verdict: request_body::Verdict) -> Result<BodyVerdict, Stop> {
    Ok(match verdict {
        request_body::Verdict::Pass => BodyVerdict::Pass,
        request_body::Verdict::Replace(bytes) => BodyVerdict::Replace(Bytes::from(bytes)),
        request_body::Verdict::Answer(a) => BodyVerdict::Answer(answer(a)?),
        request_body::Verdict::Cut => BodyVerdict::Cut,
    })
}

pub(crate) fn response_body(verdict: response_body::Verdict) -> Result<BodyVerdict, Stop> {
    Ok(match verdict {
        response_body::Verdict::Pass => BodyVerdict::Pass,
        response_body::Verdict::Replace(bytes) => BodyVerdict::Replace(Bytes::from(bytes)),
        response_body::Verdict::Answer(a) => BodyVerdict::Answer(answer(a)?),
        response_body::Verdict::Cut => BodyVerdict::Cut,
    })
}

pub(crate) fn response(verdict: response::Verdict) -> Result<ResponseVerdict, Stop> {
    Ok(match verdict {
        response::Verdict::Proceed(change) => ResponseVerdict::Proceed {
            status: change.status.map(status).transpose()?,
            edits: edits(change.edits),
        },
        response::Verdict::Replace(a) => ResponseVerdict::Replace(answer(a)?),
    })
}

pub(crate) fn retry(verdict: retry::Verdict) -> RetryVerdict {
    match verdict {
        retry::Verdict::Finish => RetryVerdict::Finish,
        retry::Verdict::Again(again) => {
            RetryVerdict::Again { after_ms: again.after_ms, elsewhere: again.elsewhere }
        }
    }
}

/// `head` is that of the response, if there was one, and `status` its status.
pub(crate) fn attempt(attempt: &Attempt, status: u16, head: types::Head) -> retry::Attempt {
    let failure = |failure| match failure {
        Failure::Connect => retry::Failure::Connect,
        Failure::Reset => retry::Failure::Reset,
        Failure::Timeout => retry::Failure::Timeout,
        Failure::Protocol => retry::Failure::Protocol,
        Failure::Unavailable => retry::Failure::Unavailable,
    };
    retry::Attempt {
        number: attempt.number,
        ending: match attempt.ending {
            Ending::Response => retry::Ending::Response(retry::Seen { status, head }),
            Ending::Failure(f) => retry::Ending::Failure(failure(f)),
        },
        elapsed_ms: attempt.elapsed_ms,
        remaining_ms: attempt.remaining_ms,
    }
}

pub(crate) fn summary(summary: &Summary, head: types::Head) -> telemetry::Summary {
    telemetry::Summary {
        status: summary.status,
        ending: match summary.ending {
            SummaryEnding::Complete => telemetry::Ending::Complete,
            SummaryEnding::ClientGone => telemetry::Ending::ClientGone,
            SummaryEnding::UpstreamCut => telemetry::Ending::UpstreamCut,
            SummaryEnding::HostCut => telemetry::Ending::HostCut,
        },
        duration_us: summary.duration_us,
        attempts: summary.attempts,
        request_bytes: summary.request_bytes,
        response_bytes: summary.response_bytes,
        head,
    }
}

fn edits(edits: Vec<types::Edit>) -> Vec<Edit> {
    let edit = |edit| match edit {
        types::Edit::Set(field) => Edit::Set(field.name, field.value),
        types::Edit::Append(field) => Edit::Append(field.name, field.value),
        types::Edit::Remove(name) => Edit::Remove(name),
    };
    edits.into_iter().map(edit).collect()
}

fn answer(answer: types::Answer) -> Result<Answer, Stop> {
    let fields = answer.fields.iter().map(|f| (f.name.as_str(), f.value.as_slice()));
    Ok(Answer {
        status: status(answer.status)?,
        fields: HeaderOut::validate(fields).map_err(|e| abi(e.to_string()))?,
        body: Bytes::from(answer.body),
    })
}

fn status(status: u16) -> Result<StatusCode, Stop> {
    let valid = (200..=599).contains(&status).then(|| StatusCode::from_u16(status).ok());
    valid.flatten().ok_or_else(|| abi(format!("status {status}, allowed are 200 to 599")))
}

fn abi(detail: impl Into<String>) -> Stop {
    Stop::new(StopReason::Abi, detail)
}
