//! `docs/configuration.md` says what the code does: every key, every default, every preset, and examples that load.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use latimer_proxy::config::parse::load;
use latimer_proxy::config::{presets, schema};
use proptest::prelude::*;

const DOC: &str = include_str!("../../../docs/configuration.md");

#[test]
fn every_key_stands_in_the_table_of_its_section() {
    let sections: [(&str, &[schema::Key]); 21] = [
        ("## The top", &schema::TOP),
        ("## `[server]`", &schema::SERVER),
        ("## `[server.tls]`", &schema::TLS),
        ("## `[metrics]`", &schema::METRICS),
        ("## `[[endpoint]]`", &schema::ENDPOINT),
        ("## A model that is a table", &schema::MODEL),
        ("## `price`", &schema::PRICE),
        ("## `timeouts`", &schema::TIMEOUTS),
        ("## `quirks`", &schema::QUIRKS),
        ("## `history`", &schema::HISTORY),
        ("## `options`", &schema::OPTIONS),
        ("## `[launch]`", &schema::LAUNCH),
        ("## `agent`", &schema::AGENT),
        ("## `agent.provider`", &schema::AGENT_PROVIDER),
        ("## `agent.queue`", &schema::AGENT_QUEUE),
        ("## `agent.limits`", &schema::AGENT_LIMITS),
        ("## `agent.threads`", &schema::AGENT_THREADS),
        ("## A table of `agent.mcp`", &schema::AGENT_MCP),
        ("## `[[route]]`", &schema::ROUTE),
        ("## `[[profile]]`", &schema::PROFILE),
        ("## A target that is a table", &schema::TARGET),
    ];
    for (title, keys) in sections {
        let section =
            DOC.split(&format!("{title}\n")).nth(1).expect(title).split("\n## ").next().expect(title);
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let wanted: Vec<String> = keys
            .iter()
            .map(|key| {
                let default =
                    if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
                format!("| `{}` | {} | {default} | ", key.name, key.kind)
            })
            .collect();
        assert_eq!(rows.len(), wanted.len(), "{title}");
        for (row, wanted) in rows.iter().zip(&wanted) {
            assert!(
                row.starts_with(wanted.as_str()) && row.len() > wanted.len() + 5,
                "{title}: {row}\nshould begin with {wanted}"
            );
        }
    }
}

#[test]
fn every_preset_is_listed() {
    for preset in &presets::PRESETS {
        let key = preset.key_env.map(|name| format!("`{name}`"));
        let login = preset.login.map(|login| format!("`latimer login {}`", login.name()));
        let ways: Vec<String> = key.into_iter().chain(login).collect();
        let ways = if ways.is_empty() { "no key".to_owned() } else { ways.join(" or ") };
        let row = format!("| `{}` | `{}` | {ways} |", preset.name, preset.base_url);
        assert!(DOC.contains(&row), "{row}");
    }
}

#[test]
fn every_example_loads_and_defaults_are_as_said() {
    let examples: Vec<&str> =
        DOC.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    for example in &examples {
        load(example, &|_| Some("key".into()), &|_| Ok("key".into())).expect("the example is fine");
    }
    let with_defaults = "[server]\nlisten = \"127.0.0.1:4180\"\nauth = \"token\"\nhosts = []\nbody_limit = \"64MiB\"\ngrace = \"30s\"\nkeep_alive = \"15s\"\nwebsocket = false\n[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nprotocol = \"chat\"\nmodels = []\ntimeouts = { connect = \"10s\", first_byte = \"120s\", idle = \"300s\" }\nretries = 3\nheaders = {}\nallow_http = false\n";
    let without = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\n";
    let read = |text: &str| load(text, &|_| None, &|_| Ok(String::new())).expect("fine").config;
    assert_eq!(format!("{:?}", read(with_defaults)), format!("{:?}", read(without)));
}

#[test]
fn problems_name_the_place_and_the_remedy_but_no_secret() {
    let cases = [
        ("[servr]", "1:2: servr: unknown key; did you mean `server`?"),
        ("[server]\nlisten = 5", "2:10: server.listen: should be a string, and is an integer"),
        (
            "[server]\nlisten = \"0.0.0.0:1\"\nauth = \"none\"",
            "3:8: server.auth: \"none\" is only for a loopback address",
        ),
        ("[server]\nbody_limit = \"64\"", "2:14: server.body_limit: should be a size"),
        ("[[endpoint]]\nbase_url = \"https://a.test\"", "endpoint[0].name: is missing"),
        ("[[endpoint]]\nname = \"a\"", "endpoint[0].base_url: is missing"),
        (
            "[[endpoint]]\nname = \"a\"\npreset = \"depseek\"",
            "3:10: endpoint[0].preset: there is no preset of this name; did you mean \"deepseek\"?",
        ),
        ("[[endpoint]]\nname = \"a\"\nbase_url = \"http://far.test\"", "would send your key unencrypted"),
        (
            "[[endpoint]]\nname = \"a\"\nbase_url = \"https://me:secret@a.test\"",
            "should hold no user name or password",
        ),
        (
            "[[endpoint]]\nname = \"a\"\npreset = \"groq\"\nmodels = [7]",
            "4:11: endpoint[0].models[0]: should be a table",
        ),
        (
            "[[endpoint]]\nname = \"a\"\npreset = \"groq\"\nheaders = { Authorization = \"secret\" }",
            "is set by latimer itself",
        ),
        (
            "[[endpoint]]\nname = \"a\"\npreset = \"groq\"\n[[endpoint]]\nname = \"a\"\npreset = \"xai\"",
            "another endpoint has this name",
        ),
        ("[[endpoint]]\nname = \"a b\"\npreset = \"groq\"", "letters, digits"),
        ("default_endpoint = \"x\"", "there is no endpoint of this name"),
        ("[[endpoint]\nname = \"a\"", "not valid TOML"),
        (
            "[[endpoint]]\nname = \"deep\"\npreset = \"groq\"\n[[route]]\nname = \"r\"\ntargets = [\"depp/x\"]",
            "6:12: route[0].targets[0]: there is no endpoint `depp`; did you mean \"deep\"?",
        ),
        ("[[route]]\ntargets = [\"x\"]", "route[0].targets[0]: should be \"endpoint/model\""),
        ("[[route]]\nname = \"r\"", "route[0].targets: is missing"),
        (
            "[[endpoint]]\nname = \"a\"\npreset = \"antigravity\"\noptions = { hosts = [\"http://far.test\"] }",
            "should be URLs that begin with https://",
        ),
    ];
    for (text, wanted) in cases {
        let problems = load(text, &|_| None, &|_| Ok(String::new())).expect_err(text);
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|line| line.contains(wanted)), "{text}\nwanted {wanted}\ngot {said:#?}");
        assert!(!said.iter().any(|line| line.contains("secret")), "{said:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_text_panics(text in "(\\PC|\n){0,200}") {
        let _ = load(&text, &|_| None, &|_| Ok(String::new()));
    }

    #[test]
    fn no_cut_or_changed_file_panics(cut in 0usize..900, put in "[\\[\\]{}=\",.a-z0-9\n]{0,3}") {
        let example = DOC.split("```toml\n").nth(2).unwrap_or_default();
        let at = (0..=cut.min(example.len())).rev().find(|at| example.is_char_boundary(*at)).unwrap_or(0);
        let _ = load(&format!("{}{put}{}", &example[..at], &example[at..]), &|_| None, &|_| Ok(String::new()));
        let _ = load(&example[..at], &|_| None, &|_| Ok(String::new()));
    }
}
