//! A client that wants to leave HTTP.

use std::rc::Rc;

use edgewit_model::Route;
use edgewit_upstream::{self as upstream, InBody};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header, request::Parts};
use hyper::{ext::Protocol, upgrade::OnUpgrade};

use crate::{
    finish::Finish, guard::ALLOWED, http::StreamWatch, problem::Problem, proxy_status::ProxyError,
    random, relay::Relay, reply::Source,
};

/// What a client asked for, before a route said whether it may.
pub(crate) struct Asked {
    /// Protocols, as a list of tokens.
    protocols: HeaderValue,
    way: Way,
}

/// A change of protocol that the route allows.
pub(crate) struct Upgrade {
    protocol: HeaderValue,
    way: Way,
}

/// How the client says it, and what belongs to the new protocol afterwards.
enum Way {
    /// With `upgrade` (RFC 9110 7.8): the connection.
    Http1,
    /// With `:protocol` (RFC 8441): the stream.
    Http2(OnUpgrade),
}

/// A change of protocol that the upstream agreed to.
pub(crate) struct Switched {
    upgrade: Upgrade,
    tunnel: Box<upstream::Tunnel>,
}

const WEBSOCKET: &str = "websocket";
const VERSION_13: HeaderValue = HeaderValue::from_static("13");

impl Asked {
    /// The wish of a request. A request of HTTP/1.1 with a body has none: what would be the body to one server would be the
    /// other protocol to another. An extended `CONNECT` (RFC 8441 4) becomes the `GET` that it would be in HTTP/1.1.
    pub(crate) fn of(parts: &mut Parts, has_body: bool) -> Option<Self> {
        if parts.version == Version::HTTP_2 {
            return Self::of_http2(parts);
        }
        let protocols = parts.headers.get(header::UPGRADE)?;
        let is_one = parts.headers.get_all(header::UPGRADE).iter().count() == 1;
        let mut connection = parts.headers.get_all(header::CONNECTION).iter();
        let is_named = connection.any(|value| lists(value, b"upgrade"));
        let may = parts.version == Version::HTTP_11 && parts.method == Method::GET && !has_body;
        (is_one && is_named && may).then(|| Self { protocols: protocols.clone(), way: Way::Http1 })
    }

    fn of_http2(parts: &mut Parts) -> Option<Self> {
        let protocol = parts.extensions.get::<Protocol>()?;
        let protocols = HeaderValue::from_str(protocol.as_str()).ok()?;
        let stream = parts.extensions.remove::<OnUpgrade>()?;
        if parts.method != Method::CONNECT {
            return None;
        }
        parts.method = Method::GET;
        Some(Self { protocols, way: Way::Http2(stream) })
    }

    /// What the route allows of it. Over HTTP/1.1 a wish that is not granted is ignored (RFC 9110 7.8).
    pub(crate) fn granted(self, route: &Route) -> Result<Option<Upgrade>, Problem> {
        let listed = |allowed: &&HeaderValue| lists(&self.protocols, allowed.as_bytes());
        let protocol = route.upgrades.iter().find(listed).cloned();
        match (protocol, self.way) {
            (Some(protocol), way @ Way::Http1) => Ok(Some(Upgrade { protocol, way })),
            (Some(protocol), way) if protocol == WEBSOCKET => Ok(Some(Upgrade { protocol, way })),
            (None, Way::Http1) => Ok(None),
            (_, Way::Http2(_)) => Err(Problem::MethodNotAllowed(ALLOWED)),
        }
    }
}

/// Whether a list of tokens holds this one.
fn lists(list: &HeaderValue, token: &[u8]) -> bool {
    let mut tokens = list.as_bytes().split(|byte| *byte == b',');
    tokens.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token))
}

impl Upgrade {
    /// Makes the request ask the upstream. What a WebSocket of HTTP/2 does without, one of HTTP/1.1 must have
    /// (RFC 6455 4.1, RFC 8441 5).
    pub(crate) fn ask<B>(&self, request: &mut Request<B>) {
        request.extensions_mut().insert(upstream::Upgrade(self.protocol.clone()));
        if let Way::Http2(_) = self.way {
            request.headers_mut().insert(header::SEC_WEBSOCKET_KEY, key(random::bytes()));
            request.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, VERSION_13);
        }
    }

    /// What the upstream's answer is to the client: the new protocol, an ordinary response, or no acceptable one.
    pub(crate) fn answered(
        self,
        status: StatusCode,
        body: InBody,
        finish: &mut Finish,
    ) -> Result<Source, Problem> {
        // A success would open a stream of the protocol to a client of HTTP/2 (RFC 8441 5), but there is none.
        let may_pass = !status.is_success() || matches!(self.way, Way::Http1);
        if status != StatusCode::SWITCHING_PROTOCOLS && may_pass {
            return Ok(Source::Upstream(Box::new(body)));
        }
        match body.into_tunnel() {
            Some(tunnel) => Ok(Source::Switched(Box::new(Switched { upgrade: self, tunnel }))),
            None => {
                finish.blame(ProxyError::UpgradeFailed);
                Err(Problem::BadGateway)
            }
        }
    }
}

impl Switched {
    /// The head that tells the client.
    pub(crate) fn head(&self, fields: &mut HeaderMap) -> StatusCode {
        match self.upgrade.way {
            Way::Http1 => {
                fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                fields.insert(header::UPGRADE, self.upgrade.protocol.clone());
                StatusCode::SWITCHING_PROTOCOLS
            }
            Way::Http2(_) => {
                fields.remove(header::SEC_WEBSOCKET_ACCEPT);
                StatusCode::OK
            }
        }
    }

    /// Begins to relay as soon as the head went out.
    pub(crate) fn begin(self, finish: Box<Finish>, watch: Option<Rc<StreamWatch>>) {
        let idle = finish.tunnel_idle();
        let relay = Relay::new(self.tunnel, finish, idle);
        match self.upgrade.way {
            Way::Http1 => relay.wait_for_connection(),
            Way::Http2(stream) => relay.wait_for_stream(stream, watch),
        }
    }
}

/// 16 bytes in base64 (RFC 6455 4.1).
fn key(bytes: [u8; 16]) -> HeaderValue {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let number = u128::from_be_bytes(bytes);
    let digit = |at: u32| {
        // 21 digits of 6 bits from the top, and one of the last 2.
        let bits = if at < 21 { number >> (122 - 6 * at) } else { number << 4 };
        DIGITS.get((bits & 63) as usize).copied().unwrap_or(b'A')
    };
    let text: Vec<u8> = (0..22).map(digit).chain(*b"==").collect();
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}

#[cfg(test)]
mod tests {
    use edgewit_model::{Action, RouteName};

    use super::*;

    fn asked(method: Method, fields: &[(&'static str, &'static str)], body: bool) -> Option<Asked> {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Asked::of(&mut request.body(()).unwrap().into_parts().0, body)
    }

    fn granted(asked: Asked, upgrades: &[&'static str]) -> Option<HeaderValue> {
        let mut route = Route::new(RouteName::new("r").unwrap(), Action::Forward(Vec::new()));
        route.upgrades = upgrades.iter().map(|u| HeaderValue::from_static(u)).collect();
        asked.granted(&route).ok().flatten().map(|upgrade| upgrade.protocol)
    }

    #[test]
    fn a_wish_needs_both_fields_and_no_body() {
        let both = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        assert!(asked(Method::GET, &both, false).is_some());
        assert!(asked(Method::GET, &both, true).is_none());
        assert!(asked(Method::POST, &both, false).is_none());
        assert!(asked(Method::GET, &both[..1], false).is_none());
        assert!(asked(Method::GET, &both[1..], false).is_none());
        let two = [both[0], both[1], ("upgrade", "h2c")];
        assert!(asked(Method::GET, &two, false).is_none());
    }

    #[test]
    fn the_route_grants_what_it_lists() {
        let check = |wish: &'static str, upgrades: &[&'static str], expected: Option<&str>| {
            let asked = asked(Method::GET, &[("connection", "upgrade"), ("upgrade", wish)], false);
            let granted = granted(asked.unwrap(), upgrades);
            assert_eq!(granted.as_ref().map(|g| g.to_str().unwrap()), expected, "{wish}");
        };
        check("WebSocket", &["websocket"], Some("websocket"));
        check("h2c, websocket", &["websocket"], Some("websocket"));
        check("h2c", &["websocket"], None);
        check("websocket", &[], None);
        check("websocket2", &["websocket"], None);
    }

    #[test]
    fn a_key_is_base64_of_its_bytes() {
        assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ=="); // RFC 6455 1.3
        assert_eq!(key([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA==");
        assert_eq!(key([0xff; 16]), "/////////////////////w==");
    }
}
