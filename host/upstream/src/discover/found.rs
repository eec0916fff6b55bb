//! What a source found.

use edgewit_model as model;

/// An endpoint as a source found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) endpoint: model::Endpoint,
    /// The name to call it by instead of its address: in `host`, and in the certificate.
    pub(crate) name: Option<String>,
}

/// What makes an endpoint the same when it is found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) name: Option<String>,
}

impl Key {
    /// The same in every process and version: what sends requests by a hash depends on it.
    pub(crate) fn text(&self) -> String {
        let Self { tls, host, port, name } = self;
        let scheme = if *tls { "https" } else { "http" };
        match name {
            Some(name) => format!("{scheme}://{host}:{port}#{name}"),
            None => format!("{scheme}://{host}:{port}"),
        }
    }
}

impl Found {
    /// One that is called as it is addressed.
    pub(crate) fn plain(endpoint: model::Endpoint) -> Self {
        Self { endpoint, name: None }
    }

    pub(crate) fn key(&self) -> Key {
        let model::Endpoint { tls, ref host, port, .. } = self.endpoint;
        Key { tls, host: host.clone(), port, name: self.name.clone() }
    }
}
