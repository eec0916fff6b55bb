//! The head of a request as the upstream gets it.

use edgewit_chain::{Phase, Run};
use http::{
    HeaderMap, HeaderValue, Request, Uri,
    header::{HOST, TE, TRAILER, VIA},
    uri::PathAndQuery,
};

use crate::{
    edits,
    guard::Trailers,
    problem::Problem,
    rewrite,
    snapshot::LiveRoute,
    template::{Values, render},
};

/// How we name ourselves (RFC 9110 7.6.3).
const PSEUDONYM: &str = "1.1 edgewit";

/// The head of the request as the filters left it. Fields are copied only if somebody will look at them again.
pub(super) fn outgoing(
    run: &mut Run,
    live: &LiveRoute,
    matcher: usize,
    trailers: Trailers,
    may_retry: bool,
) -> Result<Request<()>, Problem> {
    let is_kept = may_retry || run.phases().any_from(Phase::RequestBody);
    let route = live.route();
    let exchange = run.exchange_mut();
    let mut fields = match is_kept {
        true => exchange.fields.clone(),
        false => std::mem::take(&mut exchange.fields),
    };
    let captured = live.captures().of(matcher, exchange.path.as_str());
    let fits = captured.is_some();
    let values = Values::new(exchange, captured);
    edits::apply(&route.headers.request, &mut fields, &values);
    if !route.rewrite.upstream_host {
        let host = route.rewrite.host.as_ref().unwrap_or(&exchange.authority);
        fields.insert(HOST, host.field().clone());
    }
    if trailers.accepted {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(names) = trailers.announced {
        fields.insert(TRAILER, names);
    }
    add_via(&mut fields);
    let values = fits.then_some(&values);
    let path = rewrite::path(&route.rewrite, &exchange.path, values)?;
    let query = route.rewrite.query.as_ref().zip(values).map(|(own, values)| render(own, values));
    let query = match &query {
        Some(query) => Some(query.as_str()).filter(|query| !query.is_empty()),
        None => exchange.query.as_deref(),
    };
    let mut request = Request::new(());
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = target(&path, query)?;
    *request.headers_mut() = fields;
    Ok(request)
}

fn add_via(fields: &mut HeaderMap) {
    fields.append(VIA, HeaderValue::from_static(PSEUDONYM));
}

fn target(path: &str, query: Option<&str>) -> Result<Uri, Problem> {
    let target = match query {
        Some(query) => PathAndQuery::try_from([path, "?", query].concat()),
        None => PathAndQuery::try_from(path),
    };
    target.map(Uri::from).map_err(|_| Problem::BadRequest("the target is not valid"))
}

/// The same head once more.
pub(super) fn copy<B>(request: &Request<B>) -> Request<()> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_path_that_was_authorised() {
        assert_eq!(target("/a%20b", Some("c=d")).unwrap(), "/a%20b?c=d");
        assert_eq!(target("/a", Some("")).unwrap(), "/a?");
        assert_eq!(target("//a", None).unwrap().path(), "//a");
    }
}
