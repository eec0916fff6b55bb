//! Is the request meant for this machine?

use std::net::IpAddr;

use edgewit_model::Authority;
use http::{HeaderMap, Request, StatusCode, header::HOST};

use super::page::Problem;

/// Refuses requests that were sent to a name other than a loopback one. A browser that was lured by DNS rebinding sends
/// the name that it was lured with.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let refusal = || {
        let detail = "the administration endpoint answers to localhost and loopback addresses only";
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    };
    let in_uri = request.uri().authority().map(|authority| authority.as_str());
    if in_uri.is_some_and(|host| !is_loopback(host)) {
        return refusal();
    }
    match only_host(request.headers()) {
        Some(host) if is_loopback(host) => Ok(()),
        _ => refusal(),
    }
}

fn only_host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

fn is_loopback(authority: &str) -> bool {
    let Ok(authority) = Authority::new(authority) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_are_answered() {
        let cases = [
            ("localhost", true),
            ("LOCALHOST:9977", true),
            ("127.0.0.1:9977", true),
            ("127.8.8.8", true),
            ("[::1]:9977", true),
            ("", false),
            ("example.com", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com:9977", false),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
            ("user@localhost", false),
        ];
        for (host, expected) in cases {
            let request = Request::get("/livez").header(HOST, host).body(()).unwrap();
            assert_eq!(check(&request).is_ok(), expected, "{host}");
        }
        let twice = Request::get("/").header(HOST, "localhost").header(HOST, "localhost");
        assert!(check(&twice.body(()).unwrap()).is_err());
        assert!(check(&Request::get("/").body(()).unwrap()).is_err());
        let absolute = Request::get("http://example.com/").header(HOST, "localhost");
        assert!(check(&absolute.body(()).unwrap()).is_err());
    }
}
