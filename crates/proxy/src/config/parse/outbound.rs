//! The keys `proxy`: which way out an endpoint has.

use std::sync::Arc;

use latimer_adapters::transport::exceptions::Exceptions;
use latimer_adapters::transport::outbound::{Outbound, ProxyUrl};

use super::Env;
use crate::config::Endpoint;
use crate::config::read::{ProblemCollector, Table};

/// The way out of endpoints that have none of their own: the key at the top of the file, else what the environment says. What
/// `NO_PROXY` names is asked directly in both cases.
pub(super) fn of_all(root: &Table<'_, '_>, env: Env<'_>, notes: &mut ProblemCollector<'_>) -> Outbound {
    match given(root, notes) {
        Some(Some(proxy)) => Outbound::Through(proxy, Exceptions::from_environment(env)),
        Some(None) => Outbound::Direct,
        None => Outbound::from_environment(env).unwrap_or_default(),
    }
}

/// The way out of one endpoint: its own key holds for every host but this machine.
pub(super) fn of_endpoint(
    table: &Table<'_, '_>,
    usual: &Outbound,
    notes: &mut ProblemCollector<'_>,
) -> Outbound {
    match given(table, notes) {
        Some(Some(proxy)) => Outbound::Through(proxy, Exceptions::default()),
        Some(None) => Outbound::Direct,
        None => usual.clone(),
    }
}

/// A proxy of the environment that cannot be used is a problem where an endpoint would go out through it.
pub(super) fn refuse_environment(
    root: &Table<'_, '_>,
    endpoints: &[Endpoint],
    env: Env<'_>,
    notes: &mut ProblemCollector<'_>,
) {
    let tables = root.get("endpoint").map_or_else(Vec::new, |list| list.list(notes));
    let own =
        tables.iter().filter(|value| value.table(notes).is_some_and(|table| table.get("proxy").is_some()));
    if root.get("proxy").is_some() || own.count() >= endpoints.len() {
        return;
    }
    if let Err((name, error)) = Outbound::from_environment(env) {
        let message = format!(
            "the environment variable `{name}` names a proxy that cannot be used: {error}; or set proxy = \"none\""
        );
        notes.problem(0..0, "proxy", message);
    }
}

/// The key `proxy` of a table: `None` where it is not there, `Some(None)` for `none`, or where it cannot be used.
#[expect(clippy::option_option, reason = "not given, given as none, given")]
fn given(table: &Table<'_, '_>, notes: &mut ProblemCollector<'_>) -> Option<Option<Arc<ProxyUrl>>> {
    let value = table.get("proxy")?;
    let Some(text) = value.string(notes) else { return Some(None) };
    if text == "none" {
        return Some(None);
    }
    let parsed = ProxyUrl::parse(&text);
    if let Err(error) = &parsed {
        notes.problem(value.span.clone(), &value.path, format!("{error}; or \"none\""));
    }
    Some(parsed.ok().map(Arc::new))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::parse::load;

    const ENDPOINTS: &str = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n[[endpoint]]\nname = \"b\"\nbase_url = \"https://b.test\"\nproxy = ";

    fn loaded(top: &str, own: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let env =
            |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let text = format!("{top}\n{ENDPOINTS}{own}\n");
        match load(&text, &env, &|_| Err(std::io::ErrorKind::NotFound.into())) {
            Ok(parsed) => Ok(parsed.config),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }

    fn ways(top: &str, own: &str, env: &[(&str, &str)]) -> Vec<String> {
        let config = loaded(top, own, env).expect("a configuration");
        config.proxies().iter().map(|(endpoint, proxy)| format!("{} {proxy}", endpoint.name)).collect()
    }

    #[test]
    fn the_endpoints_own_key_goes_before_the_file_and_that_before_the_environment() {
        let env = [("HTTPS_PROXY", "http://env:1")];
        assert_eq!(ways("", "\"none\"", &env), ["a http://env:1"]);
        assert_eq!(ways("", "\"socks5h://own:2\"", &env), ["a http://env:1", "b socks5h://own:2"]);
        assert_eq!(ways("proxy = \"https://top:3\"", "\"none\"", &env), ["a https://top:3"]);
        assert_eq!(ways("proxy = \"none\"", "\"http://own:2\"", &env), ["b http://own:2"]);
        let excepted = [("HTTPS_PROXY", "http://env:1"), ("no_proxy", "test")];
        assert_eq!(ways("", "\"http://own:2\"", &excepted), ["b http://own:2"]);
        assert!(ways("proxy = \"http://top:3\"", "\"none\"", &excepted).is_empty());
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_its_password() {
        let refused = [
            loaded("", "\"ftp://user:hunter2@h\"", &[]),
            loaded("proxy = \"socks4://user:hunter2@h\"", "\"none\"", &[]),
            loaded("", "\"http://user:hunter2@h:port\"", &[]),
            loaded("", "\"none\"", &[("ALL_PROXY", "socks4://user:hunter2@h")]),
        ];
        for (place, refused) in
            ["endpoint[1].proxy", "proxy", "endpoint[1].proxy", "ALL_PROXY"].into_iter().zip(refused)
        {
            let problems = refused.expect_err(place);
            assert!(problems.contains(place) && !problems.contains("hunter2"), "{problems}");
        }
        let unused = [("ALL_PROXY", "socks4://h")];
        assert!(loaded("proxy = \"none\"", "\"none\"", &unused).is_ok());
    }
}
