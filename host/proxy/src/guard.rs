//! The front door: what is not read alike by every server, or not the client's to say, does not come in.

mod authority;

mod forwarded;

mod identity;

mod names;

mod trace;

use std::net::IpAddr;

use edgewit_chain::{Exchange, Scheme};
use edgewit_model::{Authority, NormalizedPath, RouteName, UpstreamName};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{self, HOST},
    request::Parts,
};

use crate::{
    connection::Connection,
    fields::{Census, Kind, accepts_trailers, announced_trailers, strip_counted},
    http::HEADER_LIST,
    problem::Problem,
};

pub(crate) use authority::LastAuthority;
#[cfg(test)]
pub(crate) use forwarded::FIELDS as FORWARDING;
pub(crate) use identity::{Identity, X_REQUEST_ID};

/// A request that came in, in the form in which it is routed, shown to filters and sent.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) method: Method,
    pub(crate) authority: Authority,
    pub(crate) path: NormalizedPath,
    pub(crate) query: Option<Box<str>>,
    pub(crate) fields: HeaderMap,
    pub(crate) version: Version,
    pub(crate) client: IpAddr,
    pub(crate) trailers: Trailers,
}

/// What a client said about trailers, which are a matter of connections.
#[derive(Debug, Default)]
pub(crate) struct Trailers {
    /// It reads them.
    pub(crate) accepted: bool,
    /// Names of those it will send.
    pub(crate) announced: Option<HeaderValue>,
}

/// Fields that name another method or path to some servers than the request does: routed one way, served another.
pub(crate) const OVERRIDES: [HeaderName; 5] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// What a 405 for CONNECT and TRACE allows.
pub(crate) const ALLOWED: HeaderValue =
    HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");

/// Lets a request in, or says why not. What passes has one method, one host, one path, one framing, and no field that
/// belongs to a connection or that only a trusted peer may set.
pub(crate) fn admit(
    connection: &Connection,
    parts: Parts,
    identity: &Identity,
) -> Result<Admitted, Problem> {
    let Parts { method, uri, version, headers: mut fields, .. } = parts;
    if matches!(method, Method::CONNECT | Method::TRACE) {
        return Err(Problem::MethodNotAllowed(ALLOWED));
    }
    let census = Census::of(&fields);
    check_size(&fields, version, connection)?;
    if census.has(Kind::Framing) {
        check_framing(&fields)?;
    }
    if census.has(Kind::Underscore) {
        names::check(&mut fields, connection.settings.config.headers_with_underscores)?;
    }
    if census.has(Kind::Expectation) {
        check_expectation(&fields)?;
    }
    if census.has(Kind::Credentials) {
        check_credentials(&fields)?;
    }
    let authority = authority(&uri, &fields, version, connection)?;
    if !connection.may_carry(&authority) {
        return Err(Problem::Misdirected);
    }
    let (path, query) = target(&uri)?;
    let trailers = match census.has(Kind::HopByHop) {
        true => Trailers::of(&fields),
        false => Trailers::default(),
    };
    strip(&mut fields, census)?;
    let peer = forwarded::Peer {
        address: connection.peer,
        is_trusted: connection.is_trusted,
        trusted: &connection.settings.config.trusted_proxies,
        scheme: connection.scheme,
        field: connection.peer_field(),
        has_said: census.has(Kind::Forwarding),
    };
    join_cookies(&mut fields, version);
    let client = forwarded::rewrite(&mut fields, &peer, &authority);
    identity.write(&mut fields);
    Ok(Admitted { method, authority, path, query, fields, version, client, trailers })
}

/// Takes out what must not go on: fields of the connection, those that name another method or path, and those that we say
/// ourselves.
fn strip(fields: &mut HeaderMap, census: Census) -> Result<(), Problem> {
    if census.has(Kind::HopByHop) {
        strip_counted(fields, census)
            .map_err(|_| Problem::BadRequest("`connection` names a field that is not its own"))?;
    }
    if census.has(Kind::Override) {
        for name in &OVERRIDES {
            fields.remove(name);
        }
    }
    if census.has(Kind::Expectation) {
        fields.remove(header::EXPECT);
    }
    if census.has(Kind::Framing) {
        fields.remove(header::CONTENT_LENGTH);
    }
    fields.remove(HOST);
    Ok(())
}

/// What hyper has let through; HTTP/1.1 went through stricter hands before (`wire/framing.rs`).
fn check_framing(fields: &HeaderMap) -> Result<(), Problem> {
    let lengths = fields.get_all(header::CONTENT_LENGTH).iter().count();
    let codings = fields.get_all(header::TRANSFER_ENCODING);
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if lengths + codings.iter().count() > 1 || !codings.iter().all(chunked) {
        return Err(Problem::BadRequest("ambiguous framing"));
    }
    Ok(())
}

/// HTTP/1 has the same bounds on its bytes (`wire/framing/head.rs`); of HTTP/2 only the parser sees those.
fn check_size(
    fields: &HeaderMap,
    version: Version,
    connection: &Connection,
) -> Result<(), Problem> {
    if version != Version::HTTP_2 {
        return Ok(());
    }
    let bytes: usize =
        fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    let is_in_bounds =
        fields.len() <= connection.settings.config.limits.headers && bytes <= HEADER_LIST as usize;
    if is_in_bounds { Ok(()) } else { Err(Problem::HeadTooLarge) }
}

/// The crumbs of a cookie that HTTP/2 may cut it into are one field everywhere else (RFC 9113 8.2.3).
fn join_cookies(fields: &mut HeaderMap, version: Version) {
    if version != Version::HTTP_2 {
        return;
    }
    let all = fields.get_all(header::COOKIE);
    if all.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = all.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice())) {
        fields.insert(header::COOKIE, cookie);
    }
}

/// RFC 9110 10.1.1.
fn check_expectation(fields: &HeaderMap) -> Result<(), Problem> {
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if fields.get_all(header::EXPECT).iter().all(known) {
        Ok(())
    } else {
        Err(Problem::ExpectationFailed)
    }
}

/// Of two credentials a filter may check one and an upstream believe the other (THREATS H5).
fn check_credentials(fields: &HeaderMap) -> Result<(), Problem> {
    match fields.get_all(header::AUTHORIZATION).iter().nth(1) {
        Some(_) => Err(Problem::BadRequest("more than one `authorization`")),
        None => Ok(()),
    }
}

/// The one host that a request is for (RFC 9112 3.2, RFC 9113 8.3.1).
fn authority(
    uri: &Uri,
    fields: &HeaderMap,
    version: Version,
    connection: &Connection,
) -> Result<Authority, Problem> {
    let wrong = |_| Problem::BadRequest("the host is not valid");
    let mut hosts = fields.get_all(HOST).iter();
    let field = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(Problem::BadRequest("more than one host")),
        (Some(host), None) => Some(connection.last_authority.of(host.as_bytes()).map_err(wrong)?),
        (None, None) => None,
    };
    let target = uri.authority().map(|a| connection.last_authority.of(a.as_str().as_bytes()));
    let target = target.transpose().map_err(wrong)?;
    match (target, field) {
        (Some(target), Some(field)) if target != field => {
            Err(Problem::BadRequest("two different hosts"))
        }
        (Some(_), None) if version == Version::HTTP_11 => Err(Problem::BadRequest("no host")),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        // Probes of old load balancers name none.
        (None, None) if version == Version::HTTP_10 => {
            Authority::new(&connection.local.to_string()).map_err(wrong)
        }
        (None, None) => Err(Problem::BadRequest("no host")),
    }
}

/// The one path that is routed, authorised and sent, and the query.
fn target(uri: &Uri) -> Result<(NormalizedPath, Option<Box<str>>), Problem> {
    let path = match uri.path() {
        "" => "/",
        path => path,
    };
    let path = NormalizedPath::new(path);
    let path = path.map_err(|_| Problem::BadRequest("the path has no normal form"))?;
    match uri.query() {
        Some(query) if !query.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(Problem::BadRequest("the query has a character that is not allowed"))
        }
        query => Ok((path, query.map(Into::into))),
    }
}

impl Trailers {
    fn of(fields: &HeaderMap) -> Self {
        Self { accepted: accepts_trailers(fields), announced: announced_trailers(fields) }
    }
}

impl Admitted {
    /// The exchange that filters see.
    pub(crate) fn into_exchange(
        self,
        connection: &Connection,
        route: RouteName,
        upstream: Option<UpstreamName>,
        identity: &Identity,
    ) -> (Box<Exchange>, Trailers) {
        let exchange = Exchange {
            method: self.method,
            scheme: connection.scheme,
            authority: self.authority,
            path: self.path,
            query: self.query,
            fields: self.fields,
            protocol: self.version,
            client: self.client,
            listener: connection.settings.config.name.clone(),
            route,
            request_id: identity.request_id().into(),
            subject: None,
            upstream,
            response: None,
            client_identity: connection.client_identity().cloned(),
        };
        (Box::new(exchange), self.trailers)
    }
}

fn scheme_name(scheme: Scheme) -> HeaderValue {
    HeaderValue::from_static(scheme.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_one_normal_form() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let (path, query) = target(&uri("/a/../b?c=%20")).unwrap();
        assert_eq!((path.as_str(), query.as_deref()), ("/b", Some("c=%20")));
        assert_eq!(target(&uri("http://a")).unwrap().0.as_str(), "/");
        for bad in ["/%2fadmin", "/x/..;/admin", "*"] {
            assert!(target(&uri(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn crumbs_of_a_cookie_are_one() {
        let mut fields = HeaderMap::new();
        for crumb in ["a=b", "c=d"] {
            fields.append(header::COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut fields, Version::HTTP_11);
        assert_eq!(fields.len(), 2);
        join_cookies(&mut fields, Version::HTTP_2);
        assert_eq!(
            (fields.len(), &fields[header::COOKIE]),
            (1, &HeaderValue::from_static("a=b; c=d"))
        );
    }

    #[test]
    fn only_one_framing_passes() {
        let check = |fields: &[(&'static str, &'static str)], ok: bool| {
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(check_framing(&map).is_ok(), ok, "{fields:?}");
        };
        check(&[], true);
        check(&[("content-length", "3")], true);
        check(&[("transfer-encoding", "Chunked")], true);
        check(&[("content-length", "3"), ("content-length", "3")], false);
        check(&[("content-length", "3"), ("transfer-encoding", "chunked")], false);
        check(&[("transfer-encoding", "gzip, chunked")], false);
        check(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false);
    }
}
