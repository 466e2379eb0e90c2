//! What of the proxy's environment an agent gets: the variables of this list and nothing else, so that no key of a provider and no
//! token reaches a command of its model. Pure.

use std::ffi::{OsStr, OsString};

/// The variable by which descendants of an agent are found, in whatever session they are.
pub const MARK: &str = "LATIMER_AGENT";

/// What is passed on where the proxy has it.
const ALLOWED: [&str; 25] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TERM",
    "TZ",
    "TMPDIR",
    "TMP",
    "TEMP",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PNPM_HOME",
    "SYSTEMROOT",
    "NIX_SSL_CERT_FILE",
];
/// Addresses that are never asked through a proxy.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];
/// Both spellings of the list of addresses without a proxy.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The environment of an agent: what is allowed of `own`, loopback without a proxy, the mark, and what its protocol sets.
pub fn environment(
    own: &dyn Fn(&str) -> Option<OsString>,
    mark: &str,
    set: &[(&str, OsString)],
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::with_capacity(ALLOWED.len());
    let mut put = |name: &str, value: OsString| match all.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => all.push((name.into(), value)),
    };
    for name in ALLOWED {
        if let Some(value) = own(name) {
            put(name, value);
        }
    }
    let without = no_proxy(NO_PROXY.iter().filter_map(|name| own(name)));
    for name in NO_PROXY {
        put(name, without.clone().into());
    }
    for (name, value) in set {
        put(name, value.clone());
    }
    put(MARK, mark.into());
    all
}

/// The union of lists of addresses, with loopback, each once.
fn no_proxy(lists: impl Iterator<Item = OsString>) -> String {
    let mut all: Vec<String> = Vec::new();
    let mut add = |entry: &str| {
        if !entry.is_empty() && !all.iter().any(|known| known == entry) {
            all.push(entry.to_owned());
        }
    };
    for list in lists {
        let text = OsStr::to_string_lossy(&list).into_owned();
        text.split([',', ' ', '\t']).for_each(&mut add);
    }
    for host in LOOPBACK {
        add(host);
    }
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(own: &[(&str, &str)], set: &[(&str, OsString)]) -> Vec<(String, String)> {
        let of = |name: &str| own.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        let text = |text: OsString| text.to_string_lossy().into_owned();
        environment(&of, "m-1", set).into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn keys_and_tokens_stay_behind() {
        let own = [
            ("PATH", "/bin"),
            ("OPENAI_API_KEY", "sk-1"),
            ("GITHUB_TOKEN", "t"),
            ("ANTHROPIC_API_KEY", "k"),
            ("LATIMER_TOKEN", "l"),
            ("SSL_CERT_FILE", "/ca.pem"),
        ];
        let all = made(&own, &[("CODEX_HOME", "/home".into())]);
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PATH", "SSL_CERT_FILE", "NO_PROXY", "no_proxy", "CODEX_HOME", MARK]);
        assert_eq!(all.last().map(|(_, value)| value.as_str()), Some("m-1"));
    }

    #[test]
    fn loopback_is_never_asked_through_a_proxy() {
        let own = [("NO_PROXY", "a.test, 127.0.0.1"), ("no_proxy", "b.test a.test")];
        for (name, value) in made(&own, &[]).iter().filter(|(name, _)| NO_PROXY.contains(&name.as_str())) {
            assert_eq!(value, "a.test,127.0.0.1,b.test,localhost", "{name}");
        }
    }

    #[test]
    fn what_a_protocol_sets_replaces_what_was_there() {
        let all = made(&[("HOME", "/me")], &[("HOME", "/private".into())]);
        let homes: Vec<&str> =
            all.iter().filter(|(name, _)| name == "HOME").map(|(_, value)| value.as_str()).collect();
        assert_eq!(homes, ["/private"]);
    }
}
