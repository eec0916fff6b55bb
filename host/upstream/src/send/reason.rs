//! Why an attempt failed, in a word that a client may see.

use std::{error::Error, io};

use super::{Failure, ProtocolError, SendError};
use crate::connect::ConnectError;

/// Why an attempt failed: finer than [`Failure`], without names or addresses. The cases are those error types of RFC 9209
/// 2.3 that an upstream can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its name has no address.
    Dns,
    /// It refused the connection.
    ConnectionRefused,
    /// No connection came about in time.
    ConnectionTimeout,
    /// It cannot be reached, or there is none that could be asked.
    Unavailable,
    /// Its certificate is not trusted, expired, or carries another name.
    TlsCertificate,
    /// It ended the handshake with an alert.
    TlsAlert,
    /// It speaks no TLS that we understand.
    TlsProtocol,
    /// It closed the connection before a response came.
    ConnectionTerminated,
    /// No response head came in time.
    ResponseTimeout,
    /// Its response head was too large.
    HeaderSection,
    /// Its response has a transfer coding that we do not understand.
    TransferCoding,
    /// It changed to a protocol that nobody asked for.
    UpgradeFailed,
    /// It sent something that is no acceptable HTTP.
    Protocol,
    /// It has as many connections as it may have.
    ConnectionLimit,
    /// The request itself could not be sent to its end: not the upstream's fault.
    Request,
}

impl SendError {
    /// Why it failed, in a word that a client may see.
    pub fn reason(&self) -> Reason {
        let source = self.source();
        if let Some(connect) = source.and_then(|e| e.downcast_ref::<ConnectError>()) {
            return of_connect(connect);
        }
        if let Some(protocol) = source.and_then(|e| e.downcast_ref::<ProtocolError>()) {
            return of_protocol(*protocol);
        }
        let hyper = source.and_then(|e| e.downcast_ref::<hyper::Error>());
        match self.kind {
            Failure::Timeout => Reason::ResponseTimeout,
            Failure::Protocol if hyper.is_some_and(hyper::Error::is_parse_too_large) => {
                Reason::HeaderSection
            }
            Failure::Protocol => Reason::Protocol,
            Failure::Reset => Reason::ConnectionTerminated,
            Failure::Request => Reason::Request,
            _ => Reason::Unavailable,
        }
    }
}

fn of_connect(error: &ConnectError) -> Reason {
    match error {
        ConnectError::Resolve { .. } => Reason::Dns,
        ConnectError::Connect { source, .. } => match source.kind() {
            io::ErrorKind::ConnectionRefused => Reason::ConnectionRefused,
            io::ErrorKind::TimedOut => Reason::ConnectionTimeout,
            _ => Reason::Unavailable,
        },
        ConnectError::Tls { source, .. } => of_tls(source),
        ConnectError::Http(_) => Reason::ConnectionTerminated,
        ConnectError::NoHttp2 => Reason::Protocol,
        ConnectError::Limit => Reason::ConnectionLimit,
        ConnectError::Timeout(_) => Reason::ConnectionTimeout,
    }
}

fn of_tls(error: &io::Error) -> Reason {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Reason::TlsCertificate
        }
        Some(rustls::Error::AlertReceived(_)) => Reason::TlsAlert,
        Some(_) => Reason::TlsProtocol,
        None => Reason::ConnectionTerminated,
    }
}

fn of_protocol(error: ProtocolError) -> Reason {
    match error {
        ProtocolError::Switched => Reason::UpgradeFailed,
        ProtocolError::Fields => Reason::HeaderSection,
        ProtocolError::Coding => Reason::TransferCoding,
        _ => Reason::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::send::Processed;

    #[test]
    fn every_failure_has_its_word() {
        let check = |kind, source: Box<dyn Error + Send + Sync>, expected| {
            let error = SendError::new(kind, Processed::No, source);
            assert_eq!(error.reason(), expected, "{error:?}");
        };
        let connect = |kind: io::ErrorKind| {
            let address = ([127, 0, 0, 1], 1).into();
            Box::new(ConnectError::Connect { address, source: kind.into() })
        };
        let tls = |error: rustls::Error| {
            let source = io::Error::new(io::ErrorKind::InvalidData, error);
            Box::new(ConnectError::Tls { host: "secret.internal".into(), source })
        };
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        let timeout = Box::new(ConnectError::Timeout(Duration::from_secs(1)));
        let resolve = ConnectError::Resolve {
            host: "secret.internal".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        check(
            Failure::Connect,
            connect(io::ErrorKind::ConnectionRefused),
            Reason::ConnectionRefused,
        );
        check(Failure::Connect, connect(io::ErrorKind::TimedOut), Reason::ConnectionTimeout);
        check(Failure::Connect, connect(io::ErrorKind::HostUnreachable), Reason::Unavailable);
        check(Failure::Overloaded, Box::new(ConnectError::Limit), Reason::ConnectionLimit);
        check(Failure::Connect, Box::new(ConnectError::NoHttp2), Reason::Protocol);
        check(Failure::Connect, timeout, Reason::ConnectionTimeout);
        check(Failure::Connect, Box::new(resolve), Reason::Dns);
        check(Failure::Connect, tls(expired), Reason::TlsCertificate);
        check(Failure::Connect, tls(alert), Reason::TlsAlert);
        check(Failure::Connect, tls(rustls::Error::DecryptError), Reason::TlsProtocol);
        check(Failure::Protocol, Box::new(ProtocolError::Switched), Reason::UpgradeFailed);
        check(Failure::Protocol, Box::new(ProtocolError::Fields), Reason::HeaderSection);
        check(Failure::Protocol, Box::new(ProtocolError::Flood), Reason::Protocol);
        check(Failure::Reset, "closed".into(), Reason::ConnectionTerminated);
        check(Failure::Request, "gone".into(), Reason::Request);
        assert_eq!(SendError::timeout(Processed::No).reason(), Reason::ResponseTimeout);
    }
}
