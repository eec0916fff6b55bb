//! The request side: auth, routing and request of the first filter, then of the second...

use std::ops::ControlFlow;

use edgewit_model::{NormalizedPath, UpstreamName};

use super::{Passage, Run, Step};
use crate::{
    phase::Phase,
    stop::{Stop, StopReason},
    verdict::{AuthVerdict, RequestVerdict, RoutingVerdict},
};

impl Run {
    /// Takes the request's head through the chain: auth, routing and request of the first filter, then of the second...
    ///
    /// `upstreams` are the ones that the route lists. When a filter rewrites the path, the auth filters up to it are asked
    /// again: what was authorised is what is sent.
    pub fn request_side(&mut self, upstreams: &[UpstreamName]) -> Passage {
        for index in 0..self.slots.len() {
            self.reached = index + 1;
            if let ControlFlow::Break(passage) = self.enter(index, upstreams) {
                return passage;
            }
        }
        Passage::Proceed
    }

    fn enter(&mut self, index: usize, upstreams: &[UpstreamName]) -> Step {
        let phases = self.phases_of(index);
        if phases.has(Phase::Auth) {
            self.authenticate(index)?;
        }
        if phases.has(Phase::Routing) && self.route(index, upstreams)? {
            for earlier in 0..=index {
                if self.phases_of(earlier).has(Phase::Auth) {
                    self.authenticate(earlier)?;
                }
            }
        }
        if phases.has(Phase::Request) {
            self.on_request(index)?;
        }
        ControlFlow::Continue(())
    }

    fn authenticate(&mut self, index: usize) -> Step {
        let verdict = self.ask(
            index,
            Phase::Auth,
            |i, call| i.authenticate(call),
            |v| matches!(v, AuthVerdict::Deny(_)),
        );
        match verdict {
            Ok(Some(AuthVerdict::Allow { subject, edits })) => {
                self.edit_request(index, Phase::Auth, &edits)?;
                if let Some(subject) = subject {
                    self.exchange_mut().subject = Some(subject.into());
                }
                ControlFlow::Continue(())
            }
            Ok(Some(AuthVerdict::Deny(answer))) => ControlFlow::Break(Passage::Answer(answer)),
            Ok(None) => ControlFlow::Continue(()),
            Err(failed) => ControlFlow::Break(Passage::Failed(failed)),
        }
    }

    /// Asks for the destination and says whether the path has changed.
    fn route(&mut self, index: usize, allowed: &[UpstreamName]) -> ControlFlow<Passage, bool> {
        let verdict = self.ask(
            index,
            Phase::Routing,
            |i, call| i.route(call),
            |v| matches!(v, RoutingVerdict::Answer(_)),
        );
        match verdict {
            Ok(Some(RoutingVerdict::Choose { upstream, path, edits })) => {
                if let Err(stop) = self.choose(allowed, upstream, path.as_deref()) {
                    self.refuse(index, Phase::Routing, stop)?;
                    return ControlFlow::Continue(false);
                }
                self.edit_request(index, Phase::Routing, &edits)?;
                ControlFlow::Continue(path.is_some())
            }
            Ok(Some(RoutingVerdict::Answer(answer))) => ControlFlow::Break(Passage::Answer(answer)),
            Ok(Some(RoutingVerdict::Stay) | None) => ControlFlow::Continue(false),
            Err(failed) => ControlFlow::Break(Passage::Failed(failed)),
        }
    }

    fn choose(
        &mut self,
        allowed: &[UpstreamName],
        upstream: Option<String>,
        path: Option<&str>,
    ) -> Result<(), Stop> {
        let not = |what: String| Stop::new(StopReason::Abi, what);
        let upstream = match upstream {
            Some(name) => {
                Some(allowed.iter().find(|a| a.as_str() == name).cloned().ok_or_else(|| {
                    not(format!("chose upstream `{name}`, which the route does not list"))
                })?)
            }
            None => None,
        };
        let target = match path {
            Some(text) => Some(split_target(text).map_err(|e| not(format!("chose a path: {e}")))?),
            None => None,
        };
        let exchange = self.exchange_mut();
        if let Some((path, query)) = target {
            exchange.path = path;
            exchange.query = query;
        }
        if upstream.is_some() {
            exchange.upstream = upstream;
        }
        Ok(())
    }

    fn on_request(&mut self, index: usize) -> Step {
        let verdict = self.ask(
            index,
            Phase::Request,
            |i, call| i.on_request(call),
            |v| matches!(v, RequestVerdict::Answer(_)),
        );
        match verdict {
            Ok(Some(RequestVerdict::Proceed(edits))) => {
                self.edit_request(index, Phase::Request, &edits)
            }
            Ok(Some(RequestVerdict::Answer(answer))) => ControlFlow::Break(Passage::Answer(answer)),
            Ok(None) => ControlFlow::Continue(()),
            Err(failed) => ControlFlow::Break(Passage::Failed(failed)),
        }
    }
}

fn split_target(text: &str) -> Result<(NormalizedPath, Option<Box<str>>), String> {
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let path = NormalizedPath::new(path).map_err(|e| e.to_string())?;
    match query {
        Some(q) if !q.bytes().all(|b| b.is_ascii_graphic() && b != b'#') => {
            Err("the query contains a character that is not allowed".to_owned())
        }
        query => Ok((path, query.map(Into::into))),
    }
}
