//! Where clients connect.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{ByteSize, IpNet, ListenerName};

/// `[listeners.<name>]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Its key.
    pub name: ListenerName,
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Protocols that are spoken.
    pub protocols: Protocols,
    /// `None`: clear text.
    pub tls: Option<ListenerTls>,
    /// Peers whose forwarding headers and request ids are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what clients may use.
    pub limits: ListenerLimits,
    /// Name of a socket that whoever started the process has opened (`listen = "fd:<name>"`); then `listen` says nothing.
    pub inherited: Option<String>,
    /// Connections begin with a header of the PROXY protocol, and only `trusted_proxies` may connect.
    pub proxy_protocol: bool,
    /// Answers every request with a redirect to `https` on the same host and path.
    pub redirect_https: bool,
    /// What becomes of fields whose name has an underscore.
    pub headers_with_underscores: Underscores,
}

/// What becomes of request fields whose name has an underscore: to CGI and its heirs `X_User` is `X-User`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underscores {
    /// The request is answered 400.
    Refuse,
    /// The fields are left out.
    Drop,
    /// They pass.
    Allow,
}

impl Listener {
    /// A listener in clear text with every default.
    pub fn new(name: ListenerName, listen: SocketAddr) -> Self {
        Self {
            name,
            listen,
            protocols: Protocols { h1: true, h2: true },
            tls: None,
            trusted_proxies: Vec::new(),
            limits: ListenerLimits::default(),
            inherited: None,
            proxy_protocol: false,
            redirect_https: false,
            headers_with_underscores: Underscores::Refuse,
        }
    }
}

/// Protocols of a listener. With TLS they are offered by ALPN; without, HTTP/2 means prior knowledge (`h2c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.0 and HTTP/1.1.
    pub h1: bool,
    /// HTTP/2.
    pub h2: bool,
}

/// Certificates and versions of a listener.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerTls {
    /// At least one. The first one is for clients that name no host, or one that no certificate has.
    pub files: Vec<CertificateFiles>,
    /// Lowest version that is accepted.
    pub min_version: TlsVersion,
    /// Whether clients show a certificate, too.
    pub client_auth: Option<ClientAuth>,
}

impl ListenerTls {
    /// One certificate, with every default.
    pub fn new(cert: PathBuf, key: PathBuf) -> Self {
        Self {
            files: vec![CertificateFiles { cert, key }],
            min_version: TlsVersion::V1_2,
            client_auth: None,
        }
    }
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM file with the certificate chain, leaf first.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// `tls.client-auth`: who vouches for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    /// PEM file with the authorities whose word counts.
    pub ca: PathBuf,
    /// Must clients show a certificate?
    pub mode: ClientAuthMode,
    /// PEM file with lists of certificates that count no more, one of each authority that signs.
    pub crl: Option<PathBuf>,
}

/// Must clients show a certificate?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthMode {
    /// Without one there is no connection.
    Require,
    /// They may come without; one that is not valid ends the handshake all the same.
    Request,
}

/// Versions of TLS that are safe to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// `listeners.<name>.limits`. Each default is in [`Default`], with its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerLimits {
    /// Connections at the same time; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// Bytes of a request head.
    pub header_bytes: ByteSize,
    /// Fields of a request head.
    pub headers: usize,
    /// Bytes of a request body.
    pub body: ByteSize,
    /// From the first byte of a head to its last, and from the connection (or TLS handshake) to the first head.
    pub header_timeout: Duration,
    /// Without any request on a keep-alive connection.
    pub idle_timeout: Duration,
    /// Between two reads of a request body, and between two writes of a response.
    pub stall_timeout: Duration,
    /// Streams at the same time on an HTTP/2 connection.
    pub streams: u32,
    /// Connections of one client at the same time; further ones are closed. A client is an IPv4 address or an IPv6 network
    /// of 64 bits; peers in `trusted_proxies` speak for many and are not counted.
    pub connections_per_client: usize,
    /// From the connection to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// Bytes a second that a client sends of a body, and takes of a response, on average while it is waited for. `None`: any.
    pub body_rate: Option<u32>,
    /// HTTP/2 frames a second that carry no request and no data, and a quarter more at once; over that the connection ends.
    pub control_frames: u32,
    /// Requests at the same time of one client, over all its connections; further ones are answered 429.
    pub requests_per_client: usize,
    /// Bytes of responses that an HTTP/2 connection keeps for a client that does not take them.
    pub connection_memory: ByteSize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,                       // 8 KiB each stay below 160 MiB
            header_bytes: ByteSize(32 << 10),          // what nginx takes in its large buffers
            headers: 100,                              // browsers send about 20
            body: ByteSize(10 << 20),                  // an upload of a photo fits
            header_timeout: Duration::from_secs(10),   // a head fits into one packet
            idle_timeout: Duration::from_secs(75),     // nginx's keepalive_timeout
            stall_timeout: Duration::from_secs(30),    // a phone in a tunnel
            streams: 100,                              // RFC 9113 6.5.2 recommends no less
            connections_per_client: 5_000, // a quarter: an office behind one address fits, no client has all
            handshake_timeout: Duration::from_secs(5), // three round trips of a satellite, with losses
            body_rate: Some(240),                      // a modem of 1984 was five times faster
            control_frames: 100, // browsers send a few; all streams can be reset
            requests_per_client: 1_000, // an office: 50 ms each are 20,000 a second
            connection_memory: ByteSize(1 << 20), // 16 streams of the largest chunk, 64 KiB
        }
    }
}
