//! Variables of the environment, and the part of it that a proxy is given: what every program needs, and what its configuration
//! asks for. Nothing else, so that a secret of another program never reaches it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use latimer_proxy::config::presets::PRESETS;
use latimer_proxy::config::{parse, state};

/// Variables that every proxy may need.
const COMMON_VARIABLES: [&str; 14] = [
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// latimer's own variables begin like this.
const OWN_PREFIX: &str = "LATIMER_";
/// The variable in which clients that take a key by a name of ours find the token: never an argument, which every user of the
/// machine could read. A proxy is not given it.
pub(crate) const TOKEN_VARIABLE: &str = "LATIMER_TOKEN";

/// One variable of the environment; not UTF-8 counts as not set.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The person's home directory.
pub(crate) fn home() -> Option<PathBuf> {
    env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The environment of a proxy with this configuration file. The file is read anew every time: it may have come to name another
/// key.
pub(crate) fn proxy_environment(config: Option<&Path>) -> Vec<(OsString, OsString)> {
    let usual = state::config_path(&env);
    let text = config.or(usual.as_deref()).and_then(|path| std::fs::read_to_string(path).ok());
    let mut configured = variables_of(text.as_deref().unwrap_or_default());
    if text.is_none() {
        // Whatever is written next may need any of them, and a proxy that runs is given no variable any more.
        configured.extend(PRESETS.iter().filter_map(|preset| preset.key_env).map(str::to_owned));
    }
    let is_passed = |name: &str| {
        COMMON_VARIABLES.contains(&name)
            || (name.starts_with(OWN_PREFIX) && name != TOKEN_VARIABLE)
            || configured.iter().any(|configured| configured == name)
    };
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed)).collect()
}

/// The variables that a configuration names, whether or not the rest of it is in order.
pub(crate) fn variables_of(text: &str) -> Vec<String> {
    let names = RefCell::new(Vec::new());
    let record = |name: &str| {
        names.borrow_mut().push(name.to_owned());
        env(name)
    };
    // Only what is looked up counts here; the proxy reports the problems of the file.
    let _ = parse::load(text, &record, &|path| std::fs::read_to_string(path));
    names.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_the_keys_it_needs() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\napi_key_env = [\"FIRST_KEY\", \"SECOND_KEY\"]\n";
        let names = variables_of(text);
        for name in ["FIRST_KEY", "SECOND_KEY"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
        // A file that cannot be read names none, and the proxy that it starts may still have to go out through another.
        let names = variables_of("[[endpoint");
        assert!(names.iter().all(|name| name.to_ascii_uppercase().ends_with("_PROXY")), "{names:?}");
    }

    #[test]
    fn the_outbound_proxies_of_the_environment_are_passed_on() {
        let names = variables_of("[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n");
        for name in ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            // Of two spellings the second counts only where the first is not set.
            let is_hidden = std::env::var_os(name.to_ascii_lowercase()).is_some();
            assert!(is_hidden || names.iter().any(|known| known == name), "{name} in {names:?}");
        }
    }

    #[test]
    fn nothing_else_is_passed_on() {
        let names: Vec<_> = proxy_environment(None).into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().any(|name| name == "PATH"), "{names:?}");
        // Set by cargo for every test, and no business of a proxy's.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(!names.iter().any(|name| name == "CARGO_MANIFEST_DIR"), "{names:?}");
    }
}
