//! A request that wants to leave HTTP.

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
};
use hyper::body::Incoming;

use super::{
    Answer, Attempt, Processed, ProtocolError, SendError, accept, failed::Failed, request, response,
};
use crate::{body::OutBody, pool::Lease};

/// Put into the extensions of a request it asks the upstream to change to this protocol (RFC 9110 7.8), one token such as
/// `websocket`. The request must have no body. It goes out over a fresh HTTP/1.1 connection, whatever the upstream speaks
/// otherwise, and is never sent a second time by itself.
///
/// If the upstream agrees, the response is a `101` whose body holds the connection:
/// [`InBody::into_tunnel`](crate::InBody::into_tunnel). Any other response is an ordinary one.
#[derive(Debug, Clone)]
pub struct Upgrade(pub HeaderValue);

impl Attempt<'_> {
    /// Sends the request on a connection of its own and takes the connection over if the upstream agrees.
    pub(super) async fn switch(
        &self,
        mut request: Request<OutBody>,
        Upgrade(token): Upgrade,
    ) -> Result<Answer, SendError> {
        let mut switching = match self.pools.dial_to_switch(self.upstream, &self.endpoint).await {
            Ok(switching) => switching,
            Err(error) => return Err(SendError::connect(error, request)),
        };
        request::prepare(&mut request, &self.endpoint, false)?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, token.clone());
        self.processed.set(Processed::Maybe);
        let sent = switching.send(request).await;
        let failed = |error| Failed::on(error, Some(switching.gauge()), None).into_error();
        let response: Response<Incoming> = sent.map_err(failed)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return accept(response, Lease::Http1(switching.into_lease()), None);
        }
        check(response.headers(), &token)?;
        Ok(Answer::Switched(response, Box::new(switching.into_tunnel().await)))
    }
}

/// Whether it is a change to the protocol that was asked for, and nothing that could be read as a message.
fn check(fields: &HeaderMap, token: &HeaderValue) -> Result<(), ProtocolError> {
    let mut named = fields.get_all(UPGRADE).iter();
    let same = |name: &HeaderValue| name.as_bytes().eq_ignore_ascii_case(token.as_bytes());
    if !named.next().is_some_and(same) || named.next().is_some() {
        return Err(ProtocolError::Switched);
    }
    if fields.contains_key(CONTENT_LENGTH) || fields.contains_key(TRANSFER_ENCODING) {
        return Err(ProtocolError::Length); // RFC 9110 8.6, RFC 9112 6.1
    }
    if fields.len() > response::MAX_FIELDS {
        return Err(ProtocolError::Fields);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_protocol_that_was_asked_for_is_changed_to() {
        let check = |fields: &[(&'static str, &'static str)], expected| {
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(check(&map, &HeaderValue::from_static("websocket")), expected, "{fields:?}");
        };
        check(&[("upgrade", "WebSocket")], Ok(()));
        check(&[], Err(ProtocolError::Switched));
        check(&[("upgrade", "h2c")], Err(ProtocolError::Switched));
        check(&[("upgrade", "websocket, h2c")], Err(ProtocolError::Switched));
        check(&[("upgrade", "websocket"), ("upgrade", "h2c")], Err(ProtocolError::Switched));
        let length = [("upgrade", "websocket"), ("content-length", "5")];
        check(&length, Err(ProtocolError::Length));
    }
}
