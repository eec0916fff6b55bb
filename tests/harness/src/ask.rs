//! What a client asks for.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};

/// A request that a test is about to send.
#[derive(Debug, Clone)]
pub struct Ask(pub(crate) Request<Bytes>);

/// A request with a method.
pub fn ask(method: &str, path: &str) -> Ask {
    let method = Method::from_bytes(method.as_bytes()).expect("it is a method");
    Ask(Request::builder().method(method).uri(path).body(Bytes::new()).expect("it is a request"))
}

/// A GET.
pub fn get(path: &str) -> Ask {
    ask("GET", path)
}

/// A POST with a body.
pub fn post(path: &str, body: impl Into<Bytes>) -> Ask {
    ask("POST", path).body(body)
}

impl Ask {
    /// With one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("it is a name");
        let value = HeaderValue::from_bytes(value.as_ref()).expect("it is a value");
        self.0.headers_mut().append(name, value);
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.0.body_mut() = body.into();
        self
    }
}
