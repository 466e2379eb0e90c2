//! Which proxy a request goes out through, if any. Pure: the environment comes in as a function.
//!
//! The rules are those of curl, which people know: `HTTPS_PROXY` and `HTTP_PROXY` by the scheme of the address that is asked, `ALL_PROXY`
//! for both, `NO_PROXY` for hosts that are asked directly, each in small letters too, and these go first. This machine is always
//! asked directly, whoever says otherwise.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use latimer_protocol::secret::Secret;

use super::exceptions::{Exceptions, is_this_machine, split_port, variable};
use crate::percent;

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyScheme {
    /// HTTP: `CONNECT` towards https addresses, whole addresses in the request line towards http ones.
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS 5; names are resolved on this machine.
    Socks5,
    /// SOCKS 5; the proxy resolves names.
    Socks5h,
}

/// An outbound proxy. Shown without its user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    scheme: ProxyScheme,
    /// Without brackets.
    host: String,
    port: u16,
    login: Option<(String, Secret)>,
}

/// Why a text is no address of a proxy. Never holds any of the text but its scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// The scheme is none of those that are spoken.
    #[error(
        "`{0}://` is no kind of proxy that can be used; there are http://, https://, socks5:// and socks5h://"
    )]
    UnknownScheme(String),
    /// There is no host, or the port is none.
    #[error("should be the address of a proxy, such as \"http://proxy.example:8080\"")]
    NoAddress,
}

/// The way out of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Outbound {
    /// Every host is asked directly.
    #[default]
    Direct,
    /// Everything but this machine and the exceptions goes through one proxy.
    Through(Arc<ProxyUrl>, Exceptions),
    /// What the environment says.
    Environment(EnvironmentProxies),
}

/// The proxies that the environment names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvironmentProxies {
    http: Option<Arc<ProxyUrl>>,
    https: Option<Arc<ProxyUrl>>,
    exceptions: Exceptions,
}

impl ProxyScheme {
    const ALL: [(&str, Self, u16); 4] = [
        ("http", Self::Http, 80),
        ("https", Self::Https, 443),
        ("socks5", Self::Socks5, 1080),
        ("socks5h", Self::Socks5h, 1080),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, scheme, _)| *scheme == self).map_or("", |(name, _, _)| name)
    }
}

impl ProxyUrl {
    /// Reads `scheme://user:password@host:port`. Without a scheme it is http, as everywhere.
    ///
    /// # Errors
    /// The scheme is not known, or there is no host.
    pub fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let known = ProxyScheme::ALL.iter().find(|(name, _, _)| name.eq_ignore_ascii_case(scheme));
        let Some((_, scheme, usual_port)) = known else {
            let is_word = scheme.len() <= 16 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
            return Err(if is_word {
                ProxyUrlError::UnknownScheme(scheme.to_owned())
            } else {
                ProxyUrlError::NoAddress
            });
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (host, port) = split_port(address).ok_or(ProxyUrlError::NoAddress)?;
        // What can stand in an address at all.
        if host.is_empty() || uri_of(host, 1).is_none() {
            return Err(ProxyUrlError::NoAddress);
        }
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (percent::decoded(user), Secret::new(percent::decoded(password)))
        });
        Ok(Self { scheme: *scheme, host: host.to_owned(), port: port.unwrap_or(*usual_port), login })
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    /// Where it is, as an address whose scheme says only whether TLS is spoken.
    pub(super) fn uri(&self) -> Option<Uri> {
        let uri = uri_of(&self.host, self.port)?;
        if self.scheme != ProxyScheme::Https {
            return Some(uri);
        }
        format!("https{}", uri.to_string().strip_prefix("http")?).parse().ok()
    }

    /// User name and password.
    pub(super) fn login(&self) -> Option<(&str, &str)> {
        self.login.as_ref().map(|(user, password)| (user.as_str(), password.expose()))
    }

    /// The header `Proxy-Authorization`, where there is a user.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.login()?;
        let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, .. } = self;
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{host}{close}:{port}", scheme.name())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl Outbound {
    /// What the environment says. `env` gives a variable; an empty one counts as not set.
    ///
    /// # Errors
    /// A variable names a proxy that cannot be used: which, and why.
    pub fn from_environment(
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, (&'static str, ProxyUrlError)> {
        let read = |names: [&'static str; 2]| {
            let set = names.into_iter().find_map(|name| Some((name, variable(env, name)?)));
            let parsed = set.map(|(name, text)| ProxyUrl::parse(&text).map_err(|error| (name, error)));
            parsed.transpose().map(|proxy| proxy.map(Arc::new))
        };
        let all = read(["all_proxy", "ALL_PROXY"])?;
        let http = read(["http_proxy", "HTTP_PROXY"])?.or_else(|| all.clone());
        let https = read(["https_proxy", "HTTPS_PROXY"])?.or(all);
        if http.is_none() && https.is_none() {
            return Ok(Self::Direct);
        }
        Ok(Self::Environment(EnvironmentProxies {
            http,
            https,
            exceptions: Exceptions::from_environment(env),
        }))
    }

    /// The proxy for an address; `None` where it is asked directly.
    pub fn proxy(&self, uri: &Uri) -> Option<&Arc<ProxyUrl>> {
        let (https, host) = (uri.scheme_str() == Some("https"), uri.host()?);
        let host = host.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let (proxy, exceptions) = match self {
            Self::Direct => return None,
            Self::Through(proxy, exceptions) => (Some(proxy), exceptions),
            Self::Environment(known) if https => (known.https.as_ref(), &known.exceptions),
            Self::Environment(known) => (known.http.as_ref(), &known.exceptions),
        };
        proxy.filter(|_| !is_this_machine(host) && !exceptions.hold(host, port))
    }
}

fn uri_of(host: &str, port: u16) -> Option<Uri> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let uri: Uri = format!("http://{host}:{port}/").parse().ok()?;
    uri.authority().is_some_and(|authority| !authority.as_str().contains('@')).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'e>(variables: &'e [(&'e str, &'e str)]) -> impl Fn(&str) -> Option<String> + 'e {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn route(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let outbound = Outbound::from_environment(&environment(variables)).expect("fine");
        outbound.proxy(&url.parse().expect("a URL")).map(ToString::to_string)
    }

    #[test]
    fn addresses_of_proxies_are_read_and_shown_without_secrets() {
        let cases = [
            ("http://proxy.example:8080", "http://proxy.example:8080"),
            ("HTTPS://proxy.example/", "https://proxy.example:443"),
            ("socks5://10.0.0.1", "socks5://10.0.0.1:1080"),
            ("socks5h://user:hunter2@proxy.example:9", "socks5h://proxy.example:9"),
            ("proxy.example:3128", "http://proxy.example:3128"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://a%40b:p%3Ahunter2@h:1", "http://h:1"),
        ];
        for (text, shown) in cases {
            let proxy = ProxyUrl::parse(text).expect(text);
            assert_eq!(proxy.to_string(), shown);
            assert!(!format!("{proxy:?}").contains("hunter2"), "{proxy:?}");
            assert!(proxy.uri().is_some());
        }
        let proxy = ProxyUrl::parse("http://a%40b:p%3Aq@h:1").expect("a proxy");
        assert_eq!(proxy.login(), Some(("a@b", "p:q")));
        let header = proxy.authorization().expect("a user");
        assert!(header.is_sensitive() && header == "Basic YUBiOnA6cQ==", "{header:?}");
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for text in ["ftp://h:1", "socks4://h", "socks://hunter2@h", "quic://h"] {
            let error = ProxyUrl::parse(text).expect_err(text).to_string();
            assert!(error.contains("socks5h://") && !error.contains("hunter2"), "{error}");
        }
        for text in [
            "",
            "http://",
            "http://h:port",
            "http://h:99999",
            "http://a b",
            "hunter2 is no://x",
            "http://[::1",
        ] {
            assert_eq!(ProxyUrl::parse(text), Err(ProxyUrlError::NoAddress), "{text}");
        }
    }

    #[test]
    fn the_environment_says_which_proxy_is_for_what() {
        let both =
            [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:2"), ("ALL_PROXY", "socks5://a:3")];
        assert_eq!(route(&both, "https://x.test/").as_deref(), Some("http://s:1"));
        assert_eq!(route(&both, "http://x.test/").as_deref(), Some("http://p:2"));
        assert_eq!(
            route(&[("all_proxy", "socks5h://a:3")], "https://x.test/").as_deref(),
            Some("socks5h://a:3")
        );
        assert_eq!(
            route(&[("https_proxy", "http://s:1"), ("HTTPS_PROXY", "http://t:1")], "https://x.test/")
                .as_deref(),
            Some("http://s:1")
        );
        for variables in [&[][..], &[("HTTPS_PROXY", " ")], &[("HTTP_PROXY", "http://p:2")]] {
            assert_eq!(route(variables, "https://x.test/"), None, "{variables:?}");
        }
        let error = Outbound::from_environment(&environment(&[("ALL_PROXY", "ftp://h")])).expect_err("ftp");
        assert_eq!(error.0, "ALL_PROXY");
    }

    #[test]
    fn this_machine_is_always_asked_directly() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
        ] {
            let url = format!("http://{host}:8080/");
            assert_eq!(route(&[("ALL_PROXY", "http://p:2")], &url), None, "{host}");
            let through =
                Outbound::Through(Arc::new(ProxyUrl::parse("p:2").expect("a proxy")), Exceptions::default());
            assert_eq!(through.proxy(&url.parse().expect("a URL")), None, "{host}");
        }
        assert!(route(&[("ALL_PROXY", "http://p:2")], "http://localhost.example/").is_some());
    }
}
