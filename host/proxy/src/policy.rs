//! What a route does beside forwarding, ready to be used: parameters, faults, copies.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use edgewit_chain::ResponseHead;
use edgewit_model::{Action, Edits, Encoding, PathRewrite, Route, SplitOn};
use edgewit_telemetry::{Counter, Metrics, families};
use edgewit_upstream::Upstream;
use http::{HeaderMap, header};
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    compress, cors, edits,
    finish::Finish,
    guard::Admitted,
    mirror::LiveMirror,
    random,
    reply::Reply,
    route::cookies,
    shared_run::SharedRun,
    snapshot::LiveRoute,
    template::{Captures, Values},
};

/// What belongs to a route beside its chain and its upstreams.
pub(crate) struct Policy {
    captures: Captures,
    pub(crate) mirror: Option<LiveMirror>,
    faults: Option<Faults>,
    /// Whether anything has to be done with its responses, or remembered of its requests for them.
    shapes_responses: bool,
}

struct Faults {
    delayed: Counter,
    aborted: Counter,
}

/// What a request says about the response that it wants, before any filter has seen it.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    fields: HeaderMap,
}

impl Policy {
    pub(crate) fn new(
        route: &Route,
        mirror: Option<Arc<Upstream>>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let name = route.name.as_str();
        let fault = |kind| metrics.counter(&families::FAULTS, &[("route", name), ("kind", kind)]);
        let faults = route.fault.as_ref();
        let mirror = route.mirror.as_ref().zip(mirror);
        Self {
            captures: if has_templates(route) {
                Captures::new(&route.matchers)
            } else {
                Captures::default()
            },
            mirror: mirror.map(|(own, upstream)| LiveMirror::new(name, own, upstream, metrics)),
            faults: faults.map(|_| Faults { delayed: fault("delay"), aborted: fault("abort") }),
            shapes_responses: route.cors.is_some()
                || route.compress.is_some()
                || !route.headers.response.is_empty(),
        }
    }
}

fn has_templates(route: &Route) -> bool {
    let edited = |edits: &Edits| {
        edits.set.iter().chain(&edits.append).any(|(_, value)| value.names().next().is_some())
    };
    matches!(&route.action, Action::Redirect(r) if r.location.names().next().is_some())
        || matches!(&route.rewrite.path, Some(PathRewrite::Template(_)))
        || route.rewrite.query.is_some()
        || edited(&route.headers.request)
        || edited(&route.headers.response)
}

impl LiveRoute {
    /// The parameters of a path that fits this matcher.
    pub(crate) fn captures(&self) -> &Captures {
        &self.policy().captures
    }

    /// A number that draws one of the upstreams: the same for each request with the same value of what the route splits
    /// on. Requests without it are spread by chance.
    pub(crate) fn ticket(&self, admitted: &Admitted) -> u64 {
        if self.upstream_names().len() < 2 {
            return 0; // nothing to draw
        }
        let hashed = match &self.route().split_on {
            None => None,
            Some(SplitOn::Client) => Some(xxh3_64(admitted.client.to_string().as_bytes())),
            Some(SplitOn::Header(name)) => {
                admitted.fields.get(name).map(|value| xxh3_64(value.as_bytes()))
            }
            Some(SplitOn::Cookie(name)) => {
                cookies(&admitted.fields, name).next().map(|value| xxh3_64(value.as_bytes()))
            }
        };
        hashed.unwrap_or_else(random::number)
    }

    /// What is to be remembered of a request for its response.
    pub(crate) fn wishes(&self, fields: &HeaderMap) -> Option<Box<Wishes>> {
        if !self.policy().shapes_responses {
            return None;
        }
        let mut kept = HeaderMap::with_capacity(2);
        for name in [header::ORIGIN, header::ACCEPT_ENCODING] {
            for value in fields.get_all(&name) {
                kept.append(name.clone(), value.clone());
            }
        }
        Some(Box::new(Wishes { fields: kept }))
    }

    /// Does what the route's `fault` says: a pause, an answer, both or nothing. The pause holds no connection of an
    /// upstream and ends with the request.
    pub(crate) async fn fault(&self) -> Option<Reply> {
        let (own, counters) = self.route().fault.as_ref().zip(self.policy().faults.as_ref())?;
        if let Some((time, percent)) = own.delay
            && is_drawn(percent)
        {
            counters.delayed.increment();
            sleep(time).await;
        }
        let (status, _) = own.abort.filter(|(_, percent)| is_drawn(*percent))?;
        counters.aborted.increment();
        let head = ResponseHead { status, fields: HeaderMap::new() };
        Some(Reply { error: Some("fault"), ..Reply::full(head, Bytes::new()) })
    }
}

/// Whether this is one of so many of 100.
pub(crate) fn is_drawn(percent: u32) -> bool {
    percent > 0 && random::number() % 100 < u64::from(percent)
}

/// What decides about the shape of a response.
pub(crate) struct Shaping<'a> {
    pub(crate) wishes: &'a Wishes,
    pub(crate) route: &'a LiveRoute,
    /// Position of the matcher that fitted.
    pub(crate) matcher: usize,
    pub(crate) run: &'a Rc<SharedRun>,
}

/// What the route does with an answer after the filters, whoever answered: permissions for other origins, then header
/// edits.
pub(crate) fn shape(finish: &Finish, reply: &mut Reply) {
    let Some(Shaping { wishes, route, matcher, run }) = finish.shaping() else { return };
    let fields = &mut reply.head.fields;
    if let Some(cors) = &route.route().cors {
        cors::decorate(cors, wishes.fields.get(header::ORIGIN), fields);
    }
    let edits = &route.route().headers.response;
    if !edits.is_empty() {
        let run = run.borrow();
        let captured = route.captures().of(matcher, run.exchange().path.as_str());
        edits::apply(edits, fields, &Values::new(run.exchange(), captured));
    }
}

/// The content coding of an answer, decided by its head and its length, if it is known.
pub(crate) fn coding(finish: &Finish, reply: &mut Reply, length: Option<u64>) -> Option<Encoding> {
    let Shaping { wishes, route, .. } = finish.shaping()?;
    let own = route.route().compress.as_ref()?;
    compress::negotiate(own, &wishes.fields, &mut reply.head, length)
}
