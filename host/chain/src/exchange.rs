//! One request with its response, as filters see it.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use edgewit_model::{Authority, ListenerName, NormalizedPath, RouteName, UpstreamName};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::needs::Fact;

/// How the client spoke to the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// The heads of one exchange, in the state that the filters so far have left them in.
#[derive(Debug)]
pub struct Exchange {
    /// Request method.
    pub method: Method,
    /// How the client spoke to the listener.
    pub scheme: Scheme,
    /// The host that is asked for.
    pub authority: Authority,
    /// What is routed, authorised and sent.
    pub path: NormalizedPath,
    /// Without its `?`.
    pub query: Option<Box<str>>,
    /// Request fields without hop-by-hop ones and without `host`.
    pub fields: HeaderMap,
    /// Version that the client spoke.
    pub protocol: Version,
    /// Address of the client, as trusted proxies vouch for it.
    pub client: IpAddr,
    /// Listener that the request came in on.
    pub listener: ListenerName,
    /// Route that won.
    pub route: RouteName,
    /// Identifier of the request.
    pub request_id: Box<str>,
    /// Who an auth filter says it is.
    pub subject: Option<Box<str>>,
    /// Upstream that is chosen now; `None` if the route answers by itself.
    pub upstream: Option<UpstreamName>,
    /// The response's head, once there is one.
    pub response: Option<ResponseHead>,
    /// Whom the certificate names that the client has shown.
    pub client_identity: Option<Arc<str>>,
}

/// The head of a response.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// Status.
    pub status: StatusCode,
    /// Fields without hop-by-hop ones.
    pub fields: HeaderMap,
}

impl Exchange {
    /// The value of a fact, if it has one.
    pub fn fact(&self, fact: Fact) -> Option<Cow<'_, str>> {
        Some(match fact {
            Fact::Method => self.method.as_str().into(),
            Fact::Scheme => self.scheme.as_str().into(),
            Fact::Authority => self.authority.as_str().into(),
            Fact::Path => self.path.as_str().into(),
            Fact::Query => self.query.as_deref()?.into(),
            Fact::ClientAddress => self.client.to_string().into(),
            Fact::Protocol => protocol_name(self.protocol).into(),
            Fact::Listener => self.listener.as_str().into(),
            Fact::Route => self.route.as_str().into(),
            Fact::RequestId => self.request_id.as_ref().into(),
            Fact::Subject => self.subject.as_deref()?.into(),
            Fact::Upstream => self.upstream.as_ref()?.as_str().into(),
            Fact::ClientIdentity => self.client_identity.as_deref()?.into(),
        })
    }
}

fn protocol_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
