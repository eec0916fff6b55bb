//! One exchange of a case, from its request to what the client sees.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use edgewit_chain::{
    Answer, Attempt, BodyPass, BodyPipe, Chain, Direction, Ending, Exchange, Failure, Passage,
    Proposal, ResponseHead, ResponsePassage, Run, Scheme, Summary, SummaryEnding,
};
use edgewit_model::{Authority, ListenerName, NormalizedPath, RouteName, UpstreamName};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use serde::{Serialize, Serializer};

use super::case::{Action, Case, Fail, Origin, Request, Values};

/// What happened in a case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// Who answered.
    pub action: Action,
    /// Status that the client sees; 0 if none.
    pub status: u16,
    /// Header fields that the client sees.
    #[serde(serialize_with = "fields")]
    pub headers: HeaderMap,
    /// Body that the client sees.
    pub body: String,
    /// What was sent upstream, attempt by attempt.
    pub upstream: Vec<Sent>,
    /// Who an auth filter says it is.
    pub subject: Option<String>,
    /// Fuel of all calls together.
    pub fuel: u64,
    /// Lines of the log.
    pub log: Vec<String>,
}

/// A request as it was sent upstream.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sent {
    /// Its method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Header fields.
    #[serde(serialize_with = "fields")]
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

/// A filter could ask for ever.
const MOST_ATTEMPTS: u32 = 10;
/// What a route has by default.
const TIMEOUT_MS: u32 = 15_000;

/// Plays a case. An error means that the case itself cannot be.
pub(super) fn play(chain: &Arc<Chain>, case: &Case) -> Result<Outcome, String> {
    let exchange = exchange(&case.request)?;
    let upstream = exchange.upstream.clone().into_iter().collect::<Vec<_>>();
    let run = chain.begin(Box::new(exchange));
    let mut stage = Stage { run, sent: Vec::new(), action: Action::Forward, body: Bytes::new() };
    let body = Bytes::from(case.request.body.clone());
    match stage.request(&upstream, body) {
        Ok(body) => stage.forward(&case.upstream.0, &body)?,
        Err(early) => stage.stop(early),
    }
    stage.response();
    Ok(stage.finish(case.request.body.len()))
}

struct Stage {
    run: Run,
    sent: Vec<Sent>,
    action: Action,
    body: Bytes,
}

/// What ends the way of a request before the upstream.
enum Early {
    Answer(Box<Answer>),
    /// A status of the host.
    Host(StatusCode),
    Cut,
}

impl Stage {
    /// The request side; gives the body that goes upstream.
    fn request(&mut self, upstreams: &[UpstreamName], body: Bytes) -> Result<Bytes, Early> {
        match self.run.request_side(upstreams) {
            Passage::Proceed => {}
            Passage::Answer(answer) => return Err(Early::Answer(Box::new(answer))),
            Passage::Failed(_) => return Err(Early::Host(StatusCode::SERVICE_UNAVAILABLE)),
        }
        let Some(mut pipe) = BodyPipe::new(&self.run, Direction::Request) else { return Ok(body) };
        match pipe.push(&mut self.run, body, true) {
            BodyPass::Forward(chunks) => Ok(chunks.concat().into()),
            BodyPass::Answer(answer) => Err(Early::Answer(answer)),
            BodyPass::Cut => Err(Early::Cut),
            BodyPass::TooLarge(_) => Err(Early::Host(StatusCode::PAYLOAD_TOO_LARGE)),
            BodyPass::Failed(_) => Err(Early::Host(StatusCode::SERVICE_UNAVAILABLE)),
        }
    }

    fn stop(&mut self, early: Early) {
        match early {
            Early::Answer(answer) => {
                self.action = Action::Respond;
                self.body = answer.body.clone();
                self.run.exchange_mut().response = Some(answer.into_head());
            }
            Early::Host(status) => self.host_answer(status),
            Early::Cut => self.action = Action::Cut,
        }
    }

    fn host_answer(&mut self, status: StatusCode) {
        self.action = Action::Reject;
        self.body = Bytes::new();
        self.run.exchange_mut().response = Some(ResponseHead { status, fields: HeaderMap::new() });
    }

    /// Attempt after attempt, as far as the filter wants them.
    fn forward(&mut self, origins: &[Origin], body: &Bytes) -> Result<(), String> {
        for number in 1..=MOST_ATTEMPTS {
            let index = usize::try_from(number).unwrap_or(usize::MAX).min(origins.len());
            let Some(origin) = index.checked_sub(1).and_then(|i| origins.get(i)) else {
                return Err("the upstream has nothing to answer".to_owned());
            };
            self.sent.push(self.sending(body));
            let ending = self.attempt(origin)?;
            let attempt = Attempt { number, ending, elapsed_ms: 0, remaining_ms: TIMEOUT_MS };
            match self.run.judge(&attempt) {
                Ok(Some(Proposal::Again { .. })) if number < MOST_ATTEMPTS => {
                    self.run.exchange_mut().response = None;
                }
                Ok(_) => return self.accept(origin, ending),
                Err(_) => {
                    self.host_answer(StatusCode::SERVICE_UNAVAILABLE);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn attempt(&mut self, origin: &Origin) -> Result<Ending, String> {
        let failure = match origin.fail {
            Some(Fail::Connect) => Failure::Connect,
            Some(Fail::Reset) => Failure::Reset,
            Some(Fail::Timeout) => Failure::Timeout,
            None => {
                let status = StatusCode::from_u16(origin.status)
                    .map_err(|_| format!("`{}` is no status", origin.status))?;
                let head = ResponseHead { status, fields: header_map(&origin.headers)? };
                self.run.exchange_mut().response = Some(head);
                return Ok(Ending::Response);
            }
        };
        Ok(Ending::Failure(failure))
    }

    fn accept(&mut self, origin: &Origin, ending: Ending) -> Result<(), String> {
        match ending {
            Ending::Response => self.body = Bytes::from(origin.body.clone()),
            Ending::Failure(Failure::Timeout) => self.host_answer(StatusCode::GATEWAY_TIMEOUT),
            Ending::Failure(_) => self.host_answer(StatusCode::BAD_GATEWAY),
        }
        Ok(())
    }

    fn sending(&self, body: &Bytes) -> Sent {
        let exchange = self.run.exchange();
        let path = match &exchange.query {
            Some(query) => format!("{}?{query}", exchange.path.as_str()),
            None => exchange.path.as_str().to_owned(),
        };
        Sent {
            method: exchange.method.to_string(),
            path,
            headers: exchange.fields.clone(),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }

    /// The response side, head and body.
    fn response(&mut self) {
        if self.action == Action::Cut {
            return;
        }
        loop {
            match self.run.response_side() {
                ResponsePassage::Done => break,
                ResponsePassage::Replaced(body) => {
                    self.action = Action::Respond;
                    self.body = body;
                }
                ResponsePassage::Failed(_) => self.host_answer(StatusCode::SERVICE_UNAVAILABLE),
            }
        }
        let Some(mut pipe) = BodyPipe::new(&self.run, Direction::Response) else { return };
        let body = std::mem::take(&mut self.body);
        match pipe.push(&mut self.run, body, true) {
            BodyPass::Forward(chunks) => self.body = chunks.concat().into(),
            BodyPass::Answer(answer) => self.stop(Early::Answer(answer)),
            BodyPass::Cut => self.action = Action::Cut,
            BodyPass::TooLarge(_) => self.host_answer(StatusCode::BAD_GATEWAY),
            BodyPass::Failed(_) => self.host_answer(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    fn finish(mut self, request_bytes: usize) -> Outcome {
        let head = self.run.exchange().response.clone().filter(|_| self.action != Action::Cut);
        let status = head.as_ref().map_or(0, |head| head.status.as_u16());
        let ending = match self.action {
            Action::Cut => SummaryEnding::HostCut,
            _ => SummaryEnding::Complete,
        };
        self.run.finish(&Summary {
            status,
            ending,
            duration_us: 0,
            attempts: u32::try_from(self.sent.len()).unwrap_or(u32::MAX),
            request_bytes: request_bytes as u64,
            response_bytes: self.body.len() as u64,
        });
        Outcome {
            action: self.action,
            status,
            headers: head.map(|head| head.fields).unwrap_or_default(),
            body: String::from_utf8_lossy(&self.body).into_owned(),
            upstream: self.sent,
            subject: self.run.exchange().subject.as_deref().map(str::to_owned),
            fuel: self.run.reports().map(|report| report.fuel).sum(),
            log: Vec::new(),
        }
    }
}

fn exchange(request: &Request) -> Result<Exchange, String> {
    let method =
        request.method.parse().map_err(|_| format!("`{}` is no method", request.method))?;
    let (path, query) = match request.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path.as_str(), None),
    };
    Ok(Exchange {
        method,
        scheme: if request.tls { Scheme::Https } else { Scheme::Http },
        authority: Authority::new(&request.host).map_err(|e| format!("`host`: {e}"))?,
        path: NormalizedPath::new(path).map_err(|e| e.to_string())?,
        query: query.map(Into::into),
        fields: header_map(&request.headers)?,
        protocol: Version::HTTP_11,
        client: request.client,
        listener: ListenerName::new("test").map_err(|e| e.to_string())?,
        route: RouteName::new("test").map_err(|e| e.to_string())?,
        request_id: "00000000-0000-7000-8000-000000000000".into(),
        subject: None,
        upstream: Some(UpstreamName::new("upstream").map_err(|e| e.to_string())?),
        response: None,
        client_identity: request.client_identity.as_deref().map(Into::into),
    })
}

fn header_map(headers: &BTreeMap<String, Values>) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, values) in headers {
        for value in &values.0 {
            let name: HeaderName =
                name.parse().map_err(|_| format!("`{name}` is no field name"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("`{value}` is no value of a field"))?;
            map.append(name, value);
        }
    }
    Ok(map)
}

fn fields<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values.map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        (name.as_str(), values.join(", "))
    }))
}
