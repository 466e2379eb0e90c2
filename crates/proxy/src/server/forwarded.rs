//! What the proxy in front says of whom it asks for. Pure.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderValue};

use super::transport::ConnectionOrigin;
use crate::http::refusal::Refusal;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";

/// The address of the client, for the log: what the proxy in front says where it is trusted, else from where the connection comes.
/// Proxies add to the list at its end, and whatever stands before was written by whoever asked them.
pub(super) fn client(headers: &HeaderMap, origin: ConnectionOrigin, peer: Option<IpAddr>) -> Option<IpAddr> {
    let said = || {
        let list = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
        list.rsplit(',').next()?.trim().parse().ok()
    };
    match origin {
        ConnectionOrigin::TrustedProxy => said().or(peer),
        ConnectionOrigin::Direct | ConnectionOrigin::Untrusted => peer,
    }
}

/// Takes over the name under which the client asked the proxy in front.
///
/// # Errors
///
/// The connection goes around the proxy in front (403).
pub(super) fn take_over(headers: &mut HeaderMap, origin: ConnectionOrigin) -> Result<(), Refusal> {
    match origin {
        ConnectionOrigin::Direct => {}
        ConnectionOrigin::TrustedProxy => {
            let host = headers.get(FORWARDED_HOST).and_then(|value| value.to_str().ok());
            let host = host.and_then(|hosts| hosts.split(',').next()).map(str::trim);
            if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
                headers.insert(HOST, host);
            }
        }
        ConnectionOrigin::Untrusted => {
            return Err(Refusal::new(403, "permission_error", "untrusted_peer").message(
                "latimer is asked through the proxy in front of it; where this connection comes from one, list its address under server.trusted_proxies",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_says_for_whom_it_asks() {
        let peer: Option<IpAddr> = "10.0.0.1".parse().ok();
        let said: Option<IpAddr> = "203.0.113.9".parse().ok();
        let headers = || {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED_FOR, HeaderValue::from_static("6.6.6.6, 203.0.113.9"));
            headers.insert(FORWARDED_HOST, HeaderValue::from_static("latimer.example"));
            headers.insert(HOST, HeaderValue::from_static("backend"));
            headers
        };
        assert_eq!(client(&headers(), ConnectionOrigin::TrustedProxy, peer), said, "the last of the list");
        assert_eq!(client(&headers(), ConnectionOrigin::Direct, peer), peer);
        assert_eq!(client(&HeaderMap::new(), ConnectionOrigin::TrustedProxy, peer), peer);
        let host = |origin| {
            let mut headers = headers();
            take_over(&mut headers, origin).map(|()| headers[HOST].clone()).map_err(|refusal| refusal.status)
        };
        assert_eq!(host(ConnectionOrigin::TrustedProxy), Ok(HeaderValue::from_static("latimer.example")));
        assert_eq!(host(ConnectionOrigin::Direct), Ok(HeaderValue::from_static("backend")));
        assert_eq!(host(ConnectionOrigin::Untrusted), Err(403));
    }
}
