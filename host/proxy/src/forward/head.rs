//! The head of a request as the upstream gets it.

use edgewit_chain::{Phase, Run};
use edgewit_model::{NormalizedPath, Route};
use http::{
    HeaderMap, HeaderValue, Request, Uri,
    header::{HOST, TE, TRAILER, VIA},
    uri::PathAndQuery,
};

use crate::{guard::Trailers, problem::Problem};

/// How we name ourselves (RFC 9110 7.6.3).
const PSEUDONYM: &str = "1.1 edgewit";

/// The head of the request as the filters left it. Fields are copied only if somebody will look at them again.
pub(super) fn outgoing(
    run: &mut Run,
    route: &Route,
    trailers: Trailers,
    may_retry: bool,
) -> Result<Request<()>, Problem> {
    let is_kept = may_retry || run.phases().any_from(Phase::RequestBody);
    let exchange = run.exchange_mut();
    let mut fields = match is_kept {
        true => exchange.fields.clone(),
        false => std::mem::take(&mut exchange.fields),
    };
    if !route.rewrite.upstream_host {
        let host = HeaderValue::from_str(exchange.authority.as_str());
        fields.insert(HOST, host.map_err(|_| Problem::BadRequest("the host is not valid"))?);
    }
    if trailers.accepted {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(names) = trailers.announced {
        fields.insert(TRAILER, names);
    }
    add_via(&mut fields);
    let path = stripped(&exchange.path, route.rewrite.strip_prefix.as_deref());
    let mut request = Request::new(());
    *request.method_mut() = exchange.method.clone();
    *request.uri_mut() = target(path, exchange.query.as_deref())?;
    *request.headers_mut() = fields;
    Ok(request)
}

fn add_via(fields: &mut HeaderMap) {
    fields.append(VIA, HeaderValue::from_static(PSEUDONYM));
}

/// The path without the prefix, if it has it as whole segments.
fn stripped<'a>(path: &'a NormalizedPath, prefix: Option<&str>) -> &'a str {
    let whole = path.as_str();
    match prefix.and_then(|prefix| whole.strip_prefix(prefix)) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => whole,
    }
}

fn target(path: &str, query: Option<&str>) -> Result<Uri, Problem> {
    let target = match query {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
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
    fn a_prefix_is_cut_at_segments() {
        let check = |path: &str, prefix: Option<&str>, expected: &str| {
            let path = NormalizedPath::new(path).unwrap();
            assert_eq!(stripped(&path, prefix), expected, "{path} {prefix:?}");
        };
        check("/orders/1", Some("/orders"), "/1");
        check("/orders", Some("/orders"), "/");
        check("/orders/", Some("/orders"), "/");
        check("/orders2/1", Some("/orders"), "/orders2/1");
        check("/other", Some("/orders"), "/other");
        check("/orders/1", None, "/orders/1");
    }

    #[test]
    fn a_target_is_the_path_that_was_authorised() {
        assert_eq!(target("/a%20b", Some("c=d")).unwrap(), "/a%20b?c=d");
        assert_eq!(target("/a", Some("")).unwrap(), "/a?");
        assert_eq!(target("//a", None).unwrap().path(), "//a");
    }
}
