//! Hosts that are asked directly: this machine, and those of `NO_PROXY`. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use super::network::Network;

/// The hosts of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exceptions(Arc<[Exception]>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// `None` for every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// A domain and all below it, in small letters.
    Domain(String),
    /// Addresses that begin with these bits.
    Network(Network),
}

impl Exceptions {
    /// Those of the environment.
    pub fn from_environment(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let text = ["no_proxy", "NO_PROXY"].into_iter().find_map(|name| variable(env, name));
        Self::parse(&text.unwrap_or_default())
    }

    /// Reads names, suffixes, addresses and networks, separated by commas or blanks, each with or without a port; `*` is all.
    pub fn parse(text: &str) -> Self {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        Self(words.filter_map(Exception::parse).collect())
    }

    pub(super) fn hold(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|exception| exception.holds(host, port))
    }
}

impl Exception {
    fn parse(word: &str) -> Option<Self> {
        if let Some(network) = network(word) {
            return Some(Self { hosts: network, port: None });
        }
        let (host, port) = split_port(word)?;
        let hosts = network(host).unwrap_or_else(|| {
            let domain = host.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
            if host == "*" { Hosts::All } else { Hosts::Domain(domain) }
        });
        (hosts != Hosts::Domain(String::new())).then_some(Self { hosts, port })
    }

    fn holds(&self, host: &str, port: u16) -> bool {
        let by_host = match &self.hosts {
            Hosts::All => true,
            Hosts::Domain(domain) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Hosts::Network(network) => host.parse().is_ok_and(|address| network.contains(address)),
        };
        by_host && self.port.is_none_or(|wanted| wanted == port)
    }
}

/// An address, or a network such as `10.0.0.0/8`.
fn network(word: &str) -> Option<Hosts> {
    word.parse().ok().map(Hosts::Network)
}

/// Whether a host is this machine.
pub(super) fn is_this_machine(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback() || ip.is_unspecified())
}

/// A variable of the environment; an empty one counts as not set.
pub(super) fn variable(env: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    env(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Host and port of `host`, `host:port`, `[v6]`, `[v6]:port`. `None` where the port is no number.
pub(super) fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        // More than one colon is an address without brackets.
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_names_suffixes_addresses_networks_and_ports() {
        let cases = [
            ("example.com", "https://example.com/", true),
            ("example.com", "https://api.Example.com./v1", true),
            (".example.com", "https://example.com/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            ("example.com", "https://notexample.com/", false),
            ("example.com:8443", "https://example.com/", false),
            ("example.com:8443", "https://example.com:8443/", true),
            ("example.com:443", "https://example.com/", true),
            ("a, 10.0.0.0/8", "http://10.200.0.1/", true),
            ("10.0.0.0/8", "http://11.0.0.1/", false),
            ("192.168.1.7", "http://192.168.1.7:8000/", true),
            ("192.168.1.7:80", "http://192.168.1.7:8000/", false),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("[fd12::1]:80", "http://[fd12::1]/", true),
            ("0.0.0.0/0", "http://9.9.9.9/", true),
            ("*", "https://anything.test/", true),
            ("10.0.0.0/99 x.test", "https://x.test/", true),
            ("", "https://x.test/", false),
        ];
        for (exceptions, url, holds) in cases {
            for variable in ["NO_PROXY", "no_proxy"] {
                let env = |name: &str| (name == variable).then(|| exceptions.to_owned());
                let uri: hyper::Uri = url.parse().expect("a URL");
                let host = uri.host().expect("a host").trim_matches(['[', ']']);
                let port = uri.port_u16().unwrap_or(if url.starts_with("https") { 443 } else { 80 });
                let found = Exceptions::from_environment(&env).hold(host, port);
                assert_eq!(found, holds, "{exceptions} for {url}");
            }
        }
    }
}
