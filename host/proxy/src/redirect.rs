//! Answers that send the client elsewhere.

use bytes::Bytes;
use edgewit_chain::ResponseHead;
use edgewit_model::{Redirect, Template};
use http::{HeaderMap, HeaderValue, StatusCode, header::LOCATION};

use crate::{
    guard::Admitted,
    problem::Problem,
    reply::Reply,
    template::{Values, render},
};

/// `redirect` of a route.
pub(crate) fn elsewhere(redirect: &Redirect, values: &Values<'_>) -> Result<Reply, Problem> {
    Ok(reply(redirect.status, location(&redirect.location, values)?))
}

/// To `https` on the same host and path. 308: the method and the body stay what they are (RFC 9110 15.4.9).
pub(crate) fn to_https(admitted: &Admitted) -> Result<Reply, Problem> {
    let (host, path) = (admitted.authority.host(), &admitted.path);
    let location = match &admitted.query {
        Some(query) => format!("https://{host}{path}?{query}"),
        None => format!("https://{host}{path}"),
    };
    let location = HeaderValue::from_str(&location);
    let location = location.map_err(|_| Problem::BadRequest("the target is not valid"))?;
    Ok(reply(StatusCode::PERMANENT_REDIRECT, location))
}

/// A path that begins with two slashes, or what browsers take for one, would name a host that a client has chosen.
fn location(template: &Template, values: &Values<'_>) -> Result<HeaderValue, Problem> {
    let text = render(template, values);
    let is_own = template.names().next().is_none(); // as the operator has written it
    if !is_own && (text.starts_with("//") || text.starts_with("/\\")) {
        return Err(Problem::BadRequest("the location would be on another host"));
    }
    HeaderValue::from_str(&text).map_err(|_| Problem::BadRequest("the location is not valid"))
}

fn reply(status: StatusCode, location: HeaderValue) -> Reply {
    let mut fields = HeaderMap::with_capacity(4);
    fields.insert(LOCATION, location);
    Reply::full(ResponseHead { status, fields }, Bytes::new())
}
