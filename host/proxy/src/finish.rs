//! What must happen exactly once at the end of every request, however it ends.

use std::{
    cell::Cell,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use edgewit_chain::{Outcome, Phase, Run, Scheme, SlotReport, Summary, SummaryEnding};
use edgewit_telemetry::{Answered, FilterLine, Line};
use http::{HeaderValue, Method, StatusCode, Uri, Version, header, request::Parts};
use tokio::time::Instant;

use crate::{
    connection::Connection,
    guard::Identity,
    loads::Place,
    policy::{Shaping, Wishes},
    problem::Problem,
    proxy_status::ProxyError,
    reply::grpc,
    shared_run::SharedRun,
    snapshot::{LiveRoute, Snapshot},
};

/// The end of a request, waiting in the response's body to be dropped: metrics, access log, the filters' telemetry. A
/// request that is cancelled anywhere drops it too.
pub(crate) struct Finish {
    connection: Rc<Connection>,
    snapshot: Arc<Snapshot>,
    /// Positions of route and matcher.
    route: Option<(usize, usize)>,
    run: Option<Rc<SharedRun>>,
    began: Instant,
    /// When it ended, if the rest of its end has to wait for its run.
    ended: Option<Duration>,
    identity: Identity,
    method: Method,
    version: Version,
    asked: Option<Box<Asked>>,
    status: u16,
    error: Option<&'static str>,
    ending: SummaryEnding,
    tries: u32,
    request_bytes: Rc<Cell<u64>>,
    response_bytes: u64,
    is_grpc: bool,
    blamed: Option<ProxyError>,
    wishes: Option<Box<Wishes>>,
    /// Among the requests of its client.
    place: Option<Place>,
}

/// What the client asked for, in its own words; kept for the access log only.
struct Asked {
    time: SystemTime,
    uri: Uri,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

impl Finish {
    /// A request begins. Boxed, because it goes from hand to hand until the response has gone.
    pub(crate) fn begin(connection: &Rc<Connection>, parts: &Parts) -> Box<Self> {
        let shared = &connection.context.shared;
        let snapshot = shared.snapshot.load_full();
        connection.activity.begin();
        shared.active.up();
        let time = SystemTime::now();
        let asked = snapshot.access_log().map(|_| {
            Box::new(Asked {
                time,
                uri: parts.uri.clone(),
                host: parts.headers.get(header::HOST).cloned(),
                user_agent: parts.headers.get(header::USER_AGENT).cloned(),
            })
        });
        Box::new(Self {
            connection: Rc::clone(connection),
            snapshot,
            route: None,
            run: None,
            began: Instant::now(),
            ended: None,
            identity: Identity::new(&parts.headers, connection.is_trusted, time),
            method: parts.method.clone(),
            version: parts.version,
            asked,
            status: 0,
            error: None,
            ending: SummaryEnding::ClientGone,
            tries: 0,
            request_bytes: Rc::default(),
            response_bytes: 0,
            is_grpc: grpc::is_call(parts),
            blamed: None,
            wishes: None,
            place: None,
        })
    }

    /// Counts it among the requests of its client, if that has room for it.
    pub(crate) fn enter(&mut self, client: IpAddr) -> Result<(), Problem> {
        let connection = &self.connection;
        let most = connection.settings.config.limits.requests_per_client;
        let loads = &connection.context.shared.loads;
        let place = match client == connection.peer {
            true => connection.load.get_or_init(|| loads.load(client)).enter(most),
            false => loads.load(client).enter(most),
        };
        self.place = Some(place.ok_or(Problem::TooManyRequests)?);
        Ok(())
    }

    /// The route was found, the run through its filters begins.
    pub(crate) fn routed(&mut self, route: usize, matcher: usize, run: &Rc<SharedRun>) {
        self.route = Some((route, matcher));
        self.run = Some(Rc::clone(run));
    }

    fn route(&self) -> Option<(&LiveRoute, usize)> {
        let (route, matcher) = self.route?;
        Some((self.snapshot.route(route)?, matcher))
    }

    /// What the request says about its response, before filters change it.
    pub(crate) fn wish(&mut self, wishes: Option<Box<Wishes>>) {
        self.wishes = wishes;
    }

    /// What decides about the shape of the response, if anything does.
    pub(crate) fn shaping(&self) -> Option<Shaping<'_>> {
        let wishes = self.wishes.as_deref()?;
        let (route, matcher) = self.route()?;
        Some(Shaping { wishes, route, matcher, run: self.run.as_ref()? })
    }

    /// One more attempt at an upstream.
    pub(crate) fn tried(&mut self) {
        self.tries += 1;
    }

    /// The head goes out.
    pub(crate) fn answered(&mut self, status: StatusCode, error: Option<&'static str>) {
        self.status = status.as_u16();
        self.error = error;
    }

    /// A part of the body goes out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.response_bytes += bytes as u64;
    }

    /// All of the body went out.
    pub(crate) fn complete(&mut self) {
        self.ending = SummaryEnding::Complete;
    }

    /// The body was cut.
    pub(crate) fn cut(&mut self, ending: SummaryEnding) {
        self.ending = ending;
        self.error = self.error.or(Some(ending.as_str()));
        if self.version == Version::HTTP_10 {
            // Its end may be that of the connection; only a reset tells the two apart.
            self.reset_connection();
        }
    }

    /// The connection must not look as if it had ended in order.
    pub(crate) fn reset_connection(&self) {
        if self.version != Version::HTTP_2 {
            self.connection.activity.reset.set(true);
        }
    }

    /// The last attempt failed for this reason.
    pub(crate) fn blame(&mut self, error: ProxyError) {
        self.blamed = Some(error);
    }

    pub(crate) fn blamed(&self) -> Option<ProxyError> {
        self.blamed
    }

    /// How long the connection may be idle once it has left HTTP.
    pub(crate) fn tunnel_idle(&self) -> Duration {
        self.route().map_or(Duration::ZERO, |(route, _)| route.route().tunnel_idle)
    }

    /// Whether the client takes errors in the words of gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        self.is_grpc
    }

    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn request_id(&self) -> &str {
        self.identity.request_id()
    }

    pub(crate) fn request_bytes(&self) -> &Rc<Cell<u64>> {
        &self.request_bytes
    }

    pub(crate) fn run(&self) -> Option<&Rc<SharedRun>> {
        self.run.as_ref()
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Position of the matcher that fitted, in its route.
    pub(crate) fn matcher(&self) -> usize {
        self.route.map_or(0, |(_, matcher)| matcher)
    }

    /// When the head had come.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Whether the connection takes no further request.
    pub(crate) fn is_last(&self) -> bool {
        self.connection.activity.closing.get()
    }

    fn record(&self, duration: Duration) {
        let is_https = self.connection.scheme == Scheme::Https;
        let answered = Answered::new(&self.method, self.status, is_https, self.version, self.error);
        let of_route = self.route().and_then(|(route, matcher)| route.series(matcher));
        let series = of_route.unwrap_or(self.snapshot.unrouted());
        series.record(answered, duration, self.request_bytes.get(), self.response_bytes);
    }

    fn log(&self, duration: Duration, run: Option<&Run>) {
        let (Some(log), Some(asked)) = (self.snapshot.access_log(), &self.asked) else { return };
        let exchange = run.map(Run::exchange);
        let host = asked.host.as_ref().and_then(|host| host.to_str().ok());
        log.write(&Line {
            time: asked.time,
            request_id: self.identity.request_id(),
            trace_id: self.identity.trace_id(),
            listener: self.connection.settings.config.name.as_str(),
            client: exchange.map_or(self.connection.peer, |exchange| exchange.client),
            subject: exchange.and_then(|exchange| exchange.subject.as_deref()),
            scheme: self.connection.scheme.as_str(),
            version: match self.version {
                Version::HTTP_10 => "1.0",
                Version::HTTP_2 => "2",
                _ => "1.1",
            },
            method: self.method.as_str(),
            authority: asked.uri.authority().map(|a| a.as_str()).or(host).unwrap_or_default(),
            path: asked.uri.path(),
            user_agent: asked.user_agent.as_ref().map(HeaderValue::as_bytes),
            status: self.status,
            ending: self.ending.as_str(),
            error: self.error,
            duration,
            request_bytes: self.request_bytes.get(),
            response_bytes: self.response_bytes,
            route: self.route().map(|(route, _)| route.route().name.as_str()),
            upstream: exchange.and_then(|exchange| exchange.upstream.as_ref()).map(|u| u.as_str()),
            tries: self.tries,
            filters: run.map_or(Vec::new(), |run| run.reports().filter_map(filter_line).collect()),
            client_identity: self.connection.client_identity().map(AsRef::as_ref),
        });
    }

    /// Counts the end of the request, which happens once, and gives its duration.
    fn count(&mut self) -> Duration {
        if let Some(counted) = self.ended {
            return counted;
        }
        let duration = self.began.elapsed();
        self.ended = Some(duration);
        self.connection.activity.end();
        self.connection.context.shared.active.down();
        self.record(duration);
        duration
    }

    /// What is left to do when `run` is back. Until then the request has its place among those of its client.
    fn rest(&mut self, run: &Rc<SharedRun>) -> Box<Self> {
        Box::new(Self {
            connection: Rc::clone(&self.connection),
            snapshot: Arc::clone(&self.snapshot),
            route: self.route,
            run: Some(Rc::clone(run)),
            began: self.began,
            ended: self.ended,
            identity: self.identity.clone(),
            method: self.method.clone(),
            version: self.version,
            asked: self.asked.take(),
            status: self.status,
            error: self.error,
            ending: self.ending,
            tries: self.tries,
            request_bytes: Rc::clone(&self.request_bytes),
            response_bytes: self.response_bytes,
            is_grpc: self.is_grpc,
            blamed: self.blamed,
            wishes: None,
            place: self.place.take(),
        })
    }

    fn summary(&self, duration: Duration) -> Summary {
        Summary {
            status: self.status,
            ending: self.ending,
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            attempts: self.tries,
            request_bytes: self.request_bytes.get(),
            response_bytes: self.response_bytes,
        }
    }
}

fn filter_line(report: SlotReport<'_>) -> Option<FilterLine<'_>> {
    Some(FilterLine {
        name: report.plugin.as_str(),
        us: u64::try_from(report.duration.as_micros()).unwrap_or(u64::MAX),
        fuel: report.fuel,
        outcome: match report.outcome? {
            Outcome::Stop(reason) => reason.as_str(),
            outcome => outcome.as_str(),
        },
    })
}

impl Drop for Finish {
    fn drop(&mut self) {
        let duration = self.count();
        // While a panic unwinds the run may have lent its exchange to the filter that panicked.
        let run = self.run.take().filter(|_| !std::thread::panicking());
        if let Some(run) = run.as_ref().filter(|run| run.is_away()) {
            return run.end_later(self.rest(run));
        }
        self.log(duration, run.as_ref().and_then(|run| run.try_borrow()).as_deref());
        if let Some(run) = run
            && run.try_borrow().is_some_and(|run| run.phases().has(Phase::Telemetry))
        {
            self.connection.context.afterwards.push(run, self.summary(duration));
        }
    }
}
