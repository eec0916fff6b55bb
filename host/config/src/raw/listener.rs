//! `[listeners.<name>]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Amount, At, OneOrMany, Size, Time};

/// Where clients connect.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Listener {
    /// Address and port, such as `0.0.0.0:443`, or `fd:<name>` for a socket that was opened by whoever started the process.
    pub(crate) listen: Option<At<String>>,
    /// Protocols that are spoken. Default: h1 and h2 with TLS, h1 and h2c without.
    pub(crate) protocols: Option<At<Vec<At<Protocol>>>>,
    /// Encryption. Default: none.
    pub(crate) tls: Option<At<ListenerTls>>,
    /// Addresses of peers whose forwarding headers are believed, such as `10.0.0.0/8`. Default: none.
    pub(crate) trusted_proxies: Option<At<Vec<At<String>>>>,
    /// Bounds on what clients may use.
    pub(crate) limits: ListenerLimits,
    /// Every connection begins with a header of the PROXY protocol (version 1 or 2) that says who the client is, and only
    /// `trusted-proxies` may connect. Default: false.
    pub(crate) proxy_protocol: Option<At<bool>>,
    /// Answers every request with a redirect to `https` on the same host and path. Default: no.
    pub(crate) redirect_https: Option<At<bool>>,
    /// What becomes of request fields whose name has an underscore. Default: `refuse`.
    pub(crate) headers_with_underscores: Option<Underscores>,
}

/// What becomes of request fields whose name has an underscore; to many servers `X_User` is the same as `X-User`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Underscores {
    /// The request is answered 400.
    Refuse,
    /// The fields are left out.
    Drop,
    /// They pass.
    Allow,
}

/// A protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    H1,
    /// HTTP/2 with TLS.
    H2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

/// Encryption of a listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ListenerTls {
    /// Certificate and key in files, which are read again when they change; one table or a list of them. Which certificate a
    /// client sees is decided by the host that it names; the first one is for all others.
    pub(crate) files: Option<At<OneOrMany<TlsFiles>>>,
    /// Lowest version that is accepted. Default: `1.2`.
    pub(crate) min_version: Option<TlsVersion>,
    /// Certificates of clients. Default: they are not asked for one.
    pub(crate) client_auth: Option<ClientAuth>,
}

/// Certificates of clients.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ClientAuth {
    /// PEM file with the authorities whose word counts, relative to this file.
    pub(crate) ca: At<String>,
    /// Must clients show a certificate? Default: `require`.
    pub(crate) mode: Option<ClientAuthMode>,
    /// PEM file with revocation lists, one of each authority that signs, relative to this file. Default: none.
    pub(crate) crl: Option<At<String>>,
}

/// Must clients show a certificate?
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientAuthMode {
    /// Without a valid one there is no connection.
    Require,
    /// They may come without one; one that is not valid is refused.
    Request,
}

/// Certificate and key, relative to this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct TlsFiles {
    /// PEM file with the certificate chain, leaf first.
    pub(crate) cert: At<String>,
    /// PEM file with the private key.
    pub(crate) key: At<String>,
}

/// Versions of TLS that are safe to speak.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(crate) enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Bounds on what clients may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ListenerLimits {
    /// Connections at the same time. Default: 20000.
    pub(crate) connections: Option<At<u64>>,
    /// Bytes of a request head. Default: `32KiB`.
    pub(crate) header_bytes: Option<At<Amount<Size>>>,
    /// Fields of a request head. Default: 100.
    pub(crate) headers: Option<At<u64>>,
    /// Bytes of a request body. Default: `10MiB`.
    pub(crate) body: Option<At<Amount<Size>>>,
    /// Time for a request head. Default: `10s`.
    pub(crate) header_timeout: Option<At<Amount<Time>>>,
    /// Time without a request on an open connection. Default: `75s`.
    pub(crate) idle_timeout: Option<At<Amount<Time>>>,
    /// Time between two parts of a body. Default: `30s`.
    pub(crate) stall_timeout: Option<At<Amount<Time>>>,
    /// Requests at the same time on an HTTP/2 connection. Default: 100.
    pub(crate) streams: Option<At<u64>>,
    /// Connections of one client (an IPv4 address, an IPv6 network of 64 bits) at the same time; peers in `trusted-proxies`
    /// are not counted. Default: a quarter of `connections`.
    pub(crate) connections_per_client: Option<At<u64>>,
    /// Time for the TLS handshake. Default: `5s`.
    pub(crate) handshake_timeout: Option<At<Amount<Time>>>,
    /// Bytes a second that a client must send of a body and take of a response, on average while it is waited for; `0B`
    /// expects nothing. Default: `240B`.
    pub(crate) body_rate: Option<At<Amount<Size>>>,
    /// HTTP/2 frames a second on a connection that carry no request and no data, beyond those that data sent earns.
    /// Default: 100.
    pub(crate) control_frames: Option<At<u64>>,
    /// Requests at the same time of one client address (IPv6: its /64) over all its connections. Default: 1000.
    pub(crate) requests_per_client: Option<At<u64>>,
    /// Bytes of responses that are kept for an HTTP/2 connection whose client does not take them. Default: `1MiB`.
    pub(crate) connection_memory: Option<At<Amount<Size>>>,
}
