//! An error of the HTTP stack, as a sentence that helps.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use latimer_protocol::failure::{Failure, FailureKind};

use super::connector::ProxyError;

/// What is at the bottom of an error's chain.
#[derive(Debug, PartialEq)]
enum Cause {
    Refused,
    Dns,
    Certificate(String),
    Tls(String),
    NoRoute,
    TooSlow,
    HeadersTooLarge,
    NotHttp,
    Lost,
    Other,
}

/// Why a request got no answer.
pub(super) fn of_request(error: &legacy::Error, host: &str) -> Failure {
    let cause = find(error);
    if let Some(error) = proxy_error(error) {
        return of_proxy(error, &cause, host);
    }
    match cause {
        // A peer that hangs up during the TLS handshake never saw the request.
        Cause::Lost if error.is_connect() => Failure::new(
            FailureKind::Unreachable,
            format!(
                "{host} closed the connection while it was being made; a proxy or firewall may stand between"
            ),
        ),
        Cause::Other => {
            let kind = if error.is_connect() { FailureKind::Unreachable } else { FailureKind::Interrupted };
            Failure::new(kind, format!("{host} could not be asked: {}", innermost(error)))
        }
        cause => describe(&cause, host),
    }
}

/// Why a proxy made no connection.
fn of_proxy(error: &ProxyError, cause: &Cause, host: &str) -> Failure {
    let detail = match cause {
        Cause::Refused => "it refused the connection: nothing listens there".to_owned(),
        Cause::Dns => "its name, or the host's, cannot be resolved".to_owned(),
        Cause::Lost => "it closed the connection".to_owned(),
        Cause::TooSlow => "it did not answer in time".to_owned(),
        Cause::NoRoute => "there is no route to it".to_owned(),
        Cause::Certificate(detail) | Cause::Tls(detail) => format!("no TLS connection to it ({detail})"),
        // The handshakes' error types are private; their words are the only mark they leave.
        _ => match innermost(error).as_str() {
            "tunnel error: proxy authorization required" => "it wants a user name and a password".to_owned(),
            "tunnel error: unsuccessful" => "it does not connect to this host".to_owned(),
            words => words.to_owned(),
        },
    };
    let message = format!("{host} could not be asked through the proxy {}: {detail}", error.proxy());
    Failure::new(
        FailureKind::Unreachable,
        format!(
            "{message}. Check the key `proxy` and the variables HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY"
        ),
    )
}

/// The error of a proxy in a chain.
fn proxy_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e ProxyError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<ProxyError>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// Why a body ended before its end.
pub(super) fn of_body(error: &hyper::Error, host: &str) -> Failure {
    let detail = match find(error) {
        Cause::TooSlow => "timed out",
        Cause::NotHttp => "sent broken framing",
        _ => "closed the connection",
    };
    Failure::new(FailureKind::Interrupted, format!("{host} {detail} in the middle of its answer"))
}

fn describe(cause: &Cause, host: &str) -> Failure {
    let (kind, message) = match cause {
        Cause::Refused => (
            FailureKind::Unreachable,
            format!(
                "{host} refused the connection: nothing listens there. Is the provider running, and is the port right?"
            ),
        ),
        Cause::Dns => (
            FailureKind::Unreachable,
            format!(
                "the name of {host} cannot be resolved. Check its spelling in `base_url`, and the network"
            ),
        ),
        Cause::Certificate(detail) => (
            FailureKind::Unreachable,
            format!(
                "the TLS certificate of {host} is not trusted ({detail}). For a private CA, set `ca_file`"
            ),
        ),
        Cause::Tls(detail) => (
            FailureKind::Unreachable,
            format!(
                "no TLS connection to {host} ({detail}). If it speaks plain HTTP, write `http://` in `base_url`"
            ),
        ),
        Cause::NoRoute => {
            (FailureKind::Unreachable, format!("there is no route to {host}; check the network"))
        }
        Cause::TooSlow => (
            FailureKind::Timeout,
            format!("connecting to {host} took longer than allowed (setting `timeouts.connect`)"),
        ),
        Cause::HeadersTooLarge => {
            (FailureKind::TooLarge, format!("{host} sent more than 64 kB or 200 lines of response headers"))
        }
        Cause::NotHttp => (
            FailureKind::Unreachable,
            format!("{host} does not speak HTTP. Check the port, and http:// or https:// in `base_url`"),
        ),
        Cause::Lost | Cause::Other => {
            (FailureKind::Interrupted, format!("{host} closed the connection before it answered"))
        }
    };
    let code = match cause {
        Cause::Dns => Some("dns"),
        Cause::Certificate(_) | Cause::Tls(_) => Some("tls"),
        _ => None,
    };
    Failure { cause: code, ..Failure::new(kind, message) }
}

/// Walks the chain to the first error that says something.
fn find(error: &(dyn Error + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cause) = read(error) {
            return cause;
        }
        // The source of an `io::Error` is the source of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    Cause::Other
}

fn read(error: &(dyn Error + 'static)) -> Option<Cause> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(match error {
            rustls::Error::InvalidCertificate(detail) => Cause::Certificate(detail.to_string()),
            other => Cause::Tls(other.to_string()),
        });
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_parse_too_large() {
            Some(Cause::HeadersTooLarge)
        } else if error.is_parse() {
            Some(Cause::NotHttp)
        } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            Some(Cause::Lost)
        } else {
            None
        };
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        use io::ErrorKind as K;
        return match error.kind() {
            K::ConnectionRefused => Some(Cause::Refused),
            K::HostUnreachable | K::NetworkUnreachable | K::AddrNotAvailable | K::NetworkDown => {
                Some(Cause::NoRoute)
            }
            K::TimedOut => Some(Cause::TooSlow),
            K::ConnectionReset
            | K::ConnectionAborted
            | K::BrokenPipe
            | K::UnexpectedEof
            | K::NotConnected => Some(Cause::Lost),
            _ => None,
        };
    }
    // The connector's own error type is private; its text is the only mark it leaves.
    error.to_string().starts_with("dns error").then_some(Cause::Dns)
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_errors_are_found() {
        let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, certificate));
        assert_eq!(find(&nested), Cause::Certificate("Expired".to_owned()));
        assert_eq!(find(&io::Error::from(io::ErrorKind::ConnectionRefused)), Cause::Refused);
        assert_eq!(find(&io::Error::other("odd")), Cause::Other);
    }

    #[test]
    fn every_sentence_names_the_host() {
        for cause in [Cause::Refused, Cause::Dns, Cause::Tls("x".to_owned()), Cause::NotHttp, Cause::Lost] {
            assert!(describe(&cause, "api.example").message.contains("api.example"), "{cause:?}");
        }
    }
}
