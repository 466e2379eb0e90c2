//! What of our environment a proxy is given: what every program needs, and what its configuration asks for. Nothing else, so that
//! a secret of another program never reaches it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::Path;

use latimer_proxy::config::parse;

/// Variables every proxy may need.
const ALWAYS: [&str; 14] = [
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
/// Our own variables begin like this.
const OURS: &str = "LATIMER_";
/// Except for this one, which is for clients.
const CLIENTS: &str = "LATIMER_TOKEN";

/// The environment of a proxy with this configuration file. The file is read anew every time: it may have come to name another
/// key.
pub(crate) fn environment(config: Option<&Path>) -> Vec<(OsString, OsString)> {
    let text = config.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let named = asked_for(&text);
    let wanted = |name: &str| {
        ALWAYS.contains(&name)
            || (name.starts_with(OURS) && name != CLIENTS)
            || named.iter().any(|named| named == name)
    };
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(wanted)).collect()
}

/// The variables that a configuration names, whether or not the rest of it is in order.
pub(crate) fn asked_for(text: &str) -> Vec<String> {
    let asked = RefCell::new(Vec::new());
    let env = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        std::env::var(name).ok()
    };
    // Only what it asks for counts here; its problems are told by the proxy.
    let _ = parse::load(text, &env, &|path| std::fs::read_to_string(path));
    asked.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_the_keys_it_needs() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\napi_key_env = [\"FIRST_KEY\", \"SECOND_KEY\"]\n";
        let asked = asked_for(text);
        for name in ["FIRST_KEY", "SECOND_KEY"] {
            assert!(asked.iter().any(|known| known == name), "{asked:?}");
        }
        assert!(asked_for("[[endpoint").is_empty());
    }

    #[test]
    fn nothing_else_is_passed_on() {
        let names: Vec<_> = environment(None).into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().any(|name| name == "PATH"), "{names:?}");
        // Set by cargo for every test, and no business of a proxy's.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(!names.iter().any(|name| name == "CARGO_MANIFEST_DIR"), "{names:?}");
    }
}
