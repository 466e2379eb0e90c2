//! A file to its meaning, or to every problem it has.

use std::time::Duration;

use super::*;
use crate::config::Auth;
use crate::config::DefaultEndpoint;
use crate::config::schema::Key;

/// Every problem of a text, as it is printed.
pub(in crate::config) fn problems(text: &str) -> Vec<String> {
    let nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
    match load(text, &|_| None, &nothing) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// An endpoint with these keys from line 4 on.
fn with_endpoint(keys: &str) -> String {
    let base_url = if keys.contains("preset = ") || keys.contains("base_url = ") {
        ""
    } else {
        "base_url = \"https://a.test\""
    };
    format!("[[endpoint]]\nname = \"a\"\n{base_url}\n{keys}\n")
}

/// The same, read.
pub(in crate::config) fn endpoint(keys: &str) -> Endpoint {
    config_of(&with_endpoint(keys)).endpoints.remove(0)
}

/// Its problems.
pub(in crate::config) fn problems_of_endpoint(keys: &str) -> Vec<String> {
    problems(&with_endpoint(keys))
}

/// Every table of the file: its keys, and a text in which a key of it may stand on a line of its own, where `¶` is.
fn tables() -> Vec<(&'static str, &'static [Key], &'static str)> {
    const ENDPOINT: &str = "[[endpoint]]\n¶\nname = \"a\"\nbase_url = \"https://a.test\"\n";
    vec![
        ("", &schema::TOP, "¶\n"),
        ("server.", &schema::SERVER, "[server]\n¶\n"),
        (
            "profile[0].",
            &schema::PROFILE,
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n[[profile]]\n¶\nname = \"p\"\nendpoint = \"a\"\nmodel = \"m\"\n",
        ),
        ("store.", &schema::STORE, "[store]\n¶\n"),
        ("agents.", &schema::AGENTS, "[agents]\n¶\n"),
        ("endpoint[0].", &schema::ENDPOINT, ENDPOINT),
        (
            "endpoint[0].models[0].",
            &schema::MODEL,
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [{\n¶\n, id = \"m\" }]",
        ),
        (
            "endpoint[0].models[0].price.",
            &schema::PRICE,
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n[[endpoint.models]]\nid = \"m\"\n[endpoint.models.price]\n¶\n",
        ),
        (
            "endpoint[0].timeouts.",
            &schema::TIMEOUTS,
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n[endpoint.timeouts]\n¶\n",
        ),
        (
            "endpoint[0].quirks.",
            &schema::QUIRKS,
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n[endpoint.quirks]\n¶\n",
        ),
        (
            "endpoint[0].history.",
            &schema::HISTORY,
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n[endpoint.history]\n¶\n",
        ),
        (
            "endpoint[0].options.",
            &schema::OPTIONS,
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n[endpoint.options]\n¶\n",
        ),
        ("route[0].", &schema::ROUTE, "[[route]]\n¶\n"),
        ("route[0].targets[0].", &schema::TARGET, "[[route]]\nname = \"r\"\n[[route.targets]]\n¶\n"),
    ]
}

/// The template without the line that sets this key itself, and with this line at its mark; the line's number.
fn text_with(template: &str, key: &str, line: &str) -> (String, usize) {
    let at = template.lines().position(|line| line == "¶").expect("a mark");
    let is_own = |text: &&str| !text.trim_start_matches(", ").starts_with(&format!("{key} = "));
    let lines: Vec<&str> = template
        .lines()
        .enumerate()
        .filter(|(place, text)| *place <= at || is_own(text))
        .map(|(_, text)| text)
        .collect();
    let lines: Vec<&str> = lines.into_iter().map(|text| if text == "¶" { line } else { text }).collect();
    (lines.join("\n"), at + 1)
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_line_and_with_what_would_be_right() {
    for (path, keys, template) in tables() {
        // The watchdog reads its own table.
        for key in keys.iter().filter(|key| key.name != "watchdog") {
            let wrong = if key.kind.contains("number") { "\"x\"" } else { "7" };
            let line = format!("{} = {wrong}", key.name);
            let (mut text, number) = text_with(template, key.name, &line);
            if key.name == "allow_http" {
                text = text.replace("https://", "http://");
            }
            let place = format!("{number}:{}: {path}{}: should be ", key.name.len() + 4, key.name);
            let found = problems(&text);
            assert!(found.iter().any(|found| found.starts_with(&place)), "{text}\n{found:?}\nlack {place}");
        }
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_key_that_may_be_meant() {
    for (path, keys, template) in tables() {
        for key in keys {
            let misspelt = format!("{}x", key.name);
            let (text, number) = text_with(template, key.name, &format!("{misspelt} = 7"));
            let place = format!("{number}:1: {path}{misspelt}: unknown key; did you mean `");
            let found = problems(&text);
            assert!(found.iter().any(|found| found.starts_with(&place)), "{text}\n{found:?}\nlack {place}");
        }
        let (text, number) = text_with(template, "", "completely_different_thing = 7");
        let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        let whole = format!(
            "{number}:1: {path}completely_different_thing: unknown key; known here are: {}",
            names.join(", ")
        );
        let found = problems(&text);
        assert!(found.contains(&whole), "{text}\n{found:?}\nlack {whole}");
    }
}

#[test]
fn every_problem_is_found_at_once() {
    let text = "nonsense = 1\ndefault_endpoint = \"b\"\n[server]\ngrace = \"never\"\n[[endpoint]]\nname = \"a b\"\nrepair = \"x\"\nca_file = 7\nmodels = [{ images = 7 }]\n[[endpoint]]\nname = \"c\"\nbase_url = \"https://c.test\"\nretries = 11\n[[route]]\naffinity = 7\n";
    let found = problems(text);
    let keys: Vec<&str> = found.iter().filter_map(|problem| problem.split(": ").nth(1)).collect();
    for key in [
        "nonsense",
        "server.grace",
        "endpoint[0].name",
        "endpoint[0].base_url",
        "endpoint[0].repair",
        "endpoint[0].ca_file",
        "endpoint[0].models[0].id",
        "endpoint[0].models[0].images",
        "endpoint[1].retries",
        "default_endpoint",
        "route[0].name",
        "route[0].targets",
        "route[0].affinity",
    ] {
        assert!(keys.contains(&key), "{key}: {found:?}");
    }
}

#[test]
fn a_text_that_is_no_toml_is_named_with_its_line() {
    let found = problems("[server]\nlisten = \n");
    assert!(
        matches!(&found[..], [one, ..] if one.starts_with("2:") && one.contains("not valid TOML")),
        "{found:?}"
    );
    assert!(found.iter().all(|problem| !problem.contains('\n')), "one line each: {found:?}");
}

#[test]
fn an_empty_text_is_a_configuration_without_endpoints() {
    let config = config_of("");
    assert!(
        config.endpoints.is_empty()
            && config.routes.is_empty()
            && config.default_endpoint == DefaultEndpoint::Only
    );
    assert_eq!(
        (config.server.listen.to_string().as_str(), config.server.auth),
        ("127.0.0.1:4180", Auth::Token)
    );
}

#[test]
fn the_server_is_as_the_file_says() {
    let server = config_of("[server]\nlisten = \"0.0.0.0:7\"\nbehind_proxy = true\ntrusted_proxies = [\"10.0.0.0/8\"]\nhosts = [\"lab\", \"a.test\"]\nbody_limit = \"1MiB\"\ngrace = \"5s\"\nkeep_alive = \"60s\"\nwebsocket = true\nworkers = 3\n").server;
    assert_eq!(
        (server.listen.to_string().as_str(), server.hosts.join(" ").as_str()),
        ("0.0.0.0:7", "lab a.test")
    );
    assert_eq!((server.body_limit, server.websocket, server.workers), (1 << 20, true, Some(3)));
    assert_eq!((server.grace, server.keep_alive), (Duration::from_secs(5), Duration::from_secs(60)));
}

#[test]
fn without_a_token_the_server_is_for_this_machine_alone() {
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        assert_eq!(problems(&format!("[server]\nlisten = \"{listen}\"\nauth = \"none\"\n")), [] as [&str; 0]);
    }
    for listen in ["0.0.0.0:0", "192.168.0.7:0", "[::]:0"] {
        let found = problems(&format!("[server]\nlisten = \"{listen}\"\nauth = \"none\"\n"));
        assert!(
            matches!(&found[..], [one] if one.starts_with("3:8: server.auth: \"none\" is only for a loopback")),
            "{found:?}"
        );
    }
    let found = problems("[server]\nkeep_alive = \"61s\"\n");
    assert!(
        matches!(&found[..], [one] if one.starts_with("2:14: server.keep_alive: should be at most")),
        "{found:?}"
    );
}

#[test]
fn names_of_endpoints_differ_and_the_default_is_one_of_them() {
    let two = |top: &str, other: &str| {
        format!(
            "{top}\n[[endpoint]]\nname = \"lab\"\nbase_url = \"https://a.test\"\n[[endpoint]]\nbase_url = \"https://b.test\"\nname = \"{other}\"\n"
        )
    };
    let config = config_of(&two("default_endpoint = \"b\"", "b"));
    assert_eq!(config.default_endpoint, DefaultEndpoint::Named(EndpointName::from("b")));
    assert_eq!(
        problems(&two("", "lab")),
        ["7:8: endpoint[1].name: another endpoint has this name already; names must differ"]
    );
    for (name, hint) in [("lap", "did you mean \"lab\"?"), ("elsewhere", "there are: lab, b")] {
        assert_eq!(
            problems(&two(&format!("default_endpoint = \"{name}\""), "b")),
            [format!("1:20: default_endpoint: there is no endpoint of this name; {hint}")]
        );
    }
}

#[test]
fn no_message_holds_a_key() {
    for key in [
        "api_key = [\"secret-1\", 7]",
        "api_key = { a = \"secret-1\" }",
        "headers = { authorization = \"secret-1\" }",
    ] {
        let found = problems_of_endpoint(key);
        assert!(!found.is_empty() && !found.concat().contains("secret-1"), "{found:?}");
    }
}
