//! A request, kept in case it has to be sent once more.

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::body::OutBody;

/// A request, kept in case it has to be sent once more.
///
/// Nearly every request is copied, and nearly no copy is used. So its fields are kept as plain text, which is quickly made and
/// dropped, and are read again only when they are needed.
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    version: Version,
    body: OutBody,
    /// Names and values, one after the other.
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a field ends in the text.
struct Field {
    name: usize,
    value: usize,
    is_sensitive: bool,
}

impl Spare {
    /// A copy of a request; `None` if its body cannot be sent again.
    pub(super) fn of(request: &Request<OutBody>) -> Option<Self> {
        let body = request.body().replay()?;
        let headers = request.headers();
        let length = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let mut text = Vec::with_capacity(length);
        let mut fields = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            text.extend_from_slice(name.as_str().as_bytes());
            let name = text.len();
            text.extend_from_slice(value.as_bytes());
            fields.push(Field { name, value: text.len(), is_sensitive: value.is_sensitive() });
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Some(Self { method, uri, version: request.version(), body, text, fields })
    }

    /// The request again, but for its extensions.
    pub(super) fn into_request(self) -> Option<Request<OutBody>> {
        let mut request = Request::new(self.body);
        let mut begin = 0;
        for Field { name: end_of_name, value: end, is_sensitive } in self.fields {
            let name = HeaderName::from_bytes(self.text.get(begin..end_of_name)?).ok()?;
            let mut value = HeaderValue::from_bytes(self.text.get(end_of_name..end)?).ok()?;
            value.set_sensitive(is_sensitive);
            request.headers_mut().append(name, value);
            begin = end;
        }
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_request_comes_back_as_it_was() {
        let mut secret = HeaderValue::from_static("Bearer \u{7d}");
        secret.set_sensitive(true);
        let request = Request::put("http://a.test/b?c=d")
            .version(Version::HTTP_2)
            .header("x-one", "1")
            .header("accept", "a")
            .header("x-one", "")
            .header("x-raw", &b"\xff\t "[..])
            .header("authorization", secret)
            .body(OutBody::full(Bytes::from_static(b"body")))
            .unwrap();
        let again = Spare::of(&request).unwrap().into_request().unwrap();
        assert_eq!(again.headers(), request.headers());
        assert!(again.headers()["authorization"].is_sensitive());
        let line = |r: &Request<OutBody>| (r.method().clone(), r.uri().clone(), r.version());
        assert_eq!(line(&again), line(&request));
        assert!(again.body().replay().is_some());
    }

    #[test]
    fn a_stream_has_no_copy() {
        let body = http_body_util::Full::new(Bytes::from_static(b"a"));
        let body = http_body_util::BodyExt::map_err(body, |never| match never {});
        assert!(Spare::of(&Request::new(OutBody::stream(body))).is_none());
    }
}
