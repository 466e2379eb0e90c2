//! `[server]` and `[metrics]`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use latimer_adapters::transport::network::Network;
use latimer_adapters::transport::worker::MAX_WORKERS;
use latimer_protocol::secret::Secret;

use super::{Env, ReadFile};
use crate::config::read::{ProblemCollector, Table, Value};
use crate::config::{Auth, Exposure, MetricsAccess, Server, TlsFiles, schema};

/// How many threads may carry connections.
const WORKERS: RangeInclusive<u32> = 1..=32;
const _: () = assert!(*WORKERS.end() as usize == MAX_WORKERS);
/// The longest name of a node, in characters.
const MAX_NODE: usize = 64;
/// The least characters of a token that opens the figures alone.
const MIN_TOKEN: usize = 16;
/// The longest that a load balancer is waited for.
const MAX_DRAIN_DELAY: Duration = Duration::from_secs(300);

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4180)),
            auth: Auth::Token,
            hosts: Vec::new(),
            body_limit: 64 << 20,
            grace: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            websocket: false,
            keep_requests: true,
            workers: None,
            node: None,
            exposure: Exposure::Loopback,
            drain_delay: Duration::ZERO,
        }
    }
}

pub(super) fn server(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Server {
    table.only(&schema::SERVER, notes);
    let default = Server::default();
    let auth = table.word("auth", &[("token", Auth::Token), ("none", Auth::None)], notes);
    let server = Server {
        listen: address(table, notes).unwrap_or(default.listen),
        auth: auth.unwrap_or(default.auth),
        hosts: table
            .get("hosts")
            .map_or_else(Vec::new, |hosts| hosts.strings(notes).into_iter().map(|(_, host)| host).collect()),
        body_limit: table.size("body_limit", notes).unwrap_or(default.body_limit),
        grace: table.duration("grace", notes).unwrap_or(default.grace),
        keep_alive: table.duration("keep_alive", notes).unwrap_or(default.keep_alive),
        websocket: table.boolean("websocket", notes).unwrap_or(default.websocket),
        keep_requests: table.boolean("keep_requests", notes).unwrap_or(default.keep_requests),
        workers: table.number_in("workers", WORKERS, notes).and_then(|count| usize::try_from(count).ok()),
        node: node(table, notes),
        exposure: exposure(table, notes),
        drain_delay: table.duration("drain_delay", notes).unwrap_or(default.drain_delay),
    };
    check(table, &server, notes);
    server
}

/// What no key says alone.
fn check(table: &Table<'_, '_>, server: &Server, notes: &mut ProblemCollector<'_>) {
    let span = |name: &str| table.get(name).map_or(table.span.clone(), |value| value.span);
    if server.auth == Auth::None && !server.listen.ip().is_loopback() {
        notes.problem(
            span("auth"),
            "server.auth",
            "\"none\" is only for a loopback address: others could use your keys; use \"token\"",
        );
    }
    if server.auth == Auth::None && server.exposure != Exposure::Loopback {
        notes.problem(
            span("auth"),
            "server.auth",
            "\"none\" is only for this machine: what is reached through TLS or a proxy needs \"token\"",
        );
    }
    if server.keep_alive > Duration::from_secs(60) {
        notes.problem(
            span("keep_alive"),
            "server.keep_alive",
            "should be at most \"60s\": clients give up on a silent stream",
        );
    }
    if server.drain_delay > MAX_DRAIN_DELAY {
        notes.problem(span("drain_delay"), "server.drain_delay", "should be at most \"5m\"");
    }
    if !server.listen.ip().is_loopback()
        && server.exposure == Exposure::Loopback
        && server.auth == Auth::Token
    {
        notes.problem(span("listen"), "server.listen", UNPROTECTED);
    }
}

/// Why an address beyond loopback is refused.
const UNPROTECTED: &str = "can be reached from other machines, and tokens would travel in clear: add [server.tls] with cert and key, or behind_proxy = true with the trusted_proxies that end TLS";

fn address(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Option<SocketAddr> {
    let value = table.get("listen")?;
    let text = value.string(notes)?;
    text.parse().ok().or_else(|| {
        notes.problem(
            value.span.clone(),
            &value.path,
            "should be an address and a port, such as \"127.0.0.1:4180\"",
        );
        None
    })
}

fn node(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Option<String> {
    let value = table.get("node")?;
    let name = value.string(notes)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MAX_NODE || !name.chars().all(is_plain) {
        notes.problem(
            value.span.clone(),
            &value.path,
            "should be letters, digits, `.`, `_`, `-`, at most 64",
        );
        return None;
    }
    Some(name)
}

fn exposure(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Exposure {
    let tls = table.table("tls", notes).and_then(|table| tls(&table, notes));
    let behind = table.boolean("behind_proxy", notes).unwrap_or(false);
    let trusted = table.get("trusted_proxies");
    let networks = trusted.as_ref().map_or_else(Vec::new, |value| networks(value, notes));
    match (tls, behind) {
        (Some(_), true) => {
            let span = table.get("behind_proxy").map_or(table.span.clone(), |value| value.span);
            notes.problem(
                span,
                "server.behind_proxy",
                "and [server.tls] exclude each other: one of them ends TLS",
            );
            Exposure::Loopback
        }
        (Some(files), false) => Exposure::Tls(files),
        (None, true) if networks.is_empty() => {
            let span = table.get("behind_proxy").map_or(table.span.clone(), |value| value.span);
            notes.problem(
                span,
                "server.behind_proxy",
                "needs trusted_proxies: the addresses from which the proxy in front connects",
            );
            Exposure::Loopback
        }
        (None, true) => Exposure::BehindProxy(networks),
        (None, false) => {
            if let Some(value) = trusted {
                notes.problem(value.span.clone(), &value.path, "is of no use without behind_proxy = true");
            }
            Exposure::Loopback
        }
    }
}

fn networks(value: &Value<'_, '_>, notes: &mut ProblemCollector<'_>) -> Vec<Network> {
    let mut networks = Vec::new();
    for (span, text) in value.strings(notes) {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(error) => notes.problem(span, &value.path, format!("{error}")),
        }
    }
    networks
}

fn tls(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Option<TlsFiles> {
    table.only(&schema::TLS, notes);
    let mut file = |name: &str, what: &str| {
        let path = table.string(name, notes).map(PathBuf::from);
        if path.is_none() && table.get(name).is_none() {
            notes.problem(
                table.span.clone(),
                &format!("{}.{name}", table.path),
                format!("is missing: {what} in PEM"),
            );
        }
        path
    };
    let (cert, key) = (file("cert", "the certificate chain"), file("key", "the private key"));
    Some(TlsFiles { cert: cert?, key: key? })
}

pub(super) fn metrics(
    table: &Table<'_, '_>,
    env: Env<'_>,
    read_file: ReadFile<'_>,
    notes: &mut ProblemCollector<'_>,
) -> MetricsAccess {
    table.only(&schema::METRICS, notes);
    let mut token = None;
    if let Some(value) = table.get("token_env")
        && let Some(name) = value.string(notes)
    {
        match env(&name) {
            Some(text) => token = Some(text),
            None => notes.problem(
                value.span.clone(),
                &value.path,
                format!("the environment variable `{name}` is not set"),
            ),
        }
    }
    if let Some(value) = table.get("token_file")
        && let Some(path) = value.string(notes)
    {
        match read_file(Path::new(&path)) {
            Ok(text) => token = Some(text),
            Err(error) => notes.problem(
                value.span.clone(),
                &value.path,
                format!("`{path}` cannot be read ({})", error.kind()),
            ),
        }
    }
    let token = token.map(|token| token.trim().to_owned());
    if token.as_ref().is_some_and(|token| token.len() < MIN_TOKEN) {
        notes.problem(
            table.span.clone(),
            "metrics",
            "the token is too short to be safe: 16 characters at least",
        );
    }
    MetricsAccess { listen: address(table, notes), token: token.map(Secret::new) }
}

#[cfg(test)]
mod tests {
    use crate::config::Exposure;
    use crate::config::parse::config_of;
    use crate::config::parse::tests::problems;

    #[test]
    fn what_other_machines_reach_is_behind_tls_or_a_proxy() {
        let tls = "[server]\nlisten = \"0.0.0.0:1\"\ntls = { cert = \"/c.pem\", key = \"/k.pem\" }\n";
        assert!(
            matches!(config_of(tls).server.exposure, Exposure::Tls(files) if files.cert.ends_with("c.pem"))
        );
        let proxied = "[server]\nlisten = \"0.0.0.0:1\"\nbehind_proxy = true\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n";
        assert!(
            matches!(config_of(proxied).server.exposure, Exposure::BehindProxy(networks) if networks.len() == 2)
        );
        for (text, words) in [
            ("listen = \"0.0.0.0:1\"", "2:10: server.listen: can be reached from other machines"),
            ("listen = \"[2001:db8::1]:1\"", "behind_proxy = true"),
            ("behind_proxy = true", "needs trusted_proxies"),
            (
                "behind_proxy = true\ntrusted_proxies = [\"proxy.test\"]",
                "3:20: server.trusted_proxies: should be an address",
            ),
            ("trusted_proxies = [\"::1\"]", "is of no use without behind_proxy"),
            ("tls = { cert = \"/c.pem\" }", "server.tls.key: is missing"),
            (
                "tls = { cert = \"/c\", key = \"/k\" }\nbehind_proxy = true\ntrusted_proxies = \"::1\"",
                "exclude each other",
            ),
            (
                "behind_proxy = true\ntrusted_proxies = \"::1\"\nauth = \"none\"",
                "\"none\" is only for this machine",
            ),
            ("node = \"a b\"", "server.node: should be letters"),
            ("drain_delay = \"6m\"", "server.drain_delay: should be at most"),
        ] {
            let found = problems(&format!("[server]\n{text}\n"));
            assert!(found.iter().any(|problem| problem.contains(words)), "{text}: {found:?}");
        }
    }

    #[test]
    fn figures_have_an_address_and_a_token_of_their_own() {
        let config = config_of("[metrics]\nlisten = \"127.0.0.1:9464\"\n");
        assert!(config.metrics.listen.is_some() && config.metrics.token.is_none());
        assert!(problems("[metrics]\ntoken_env = \"NONE\"\n")[0].contains("`NONE` is not set"));
        assert!(problems("[metrics]\ntoken_file = \"/none\"\n")[0].contains("cannot be read"));
    }
}
