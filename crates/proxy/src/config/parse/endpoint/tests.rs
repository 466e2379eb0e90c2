//! One endpoint: what a preset says, what the file says over it, and where keys come from.

use std::path::Path;

use crate::config::parse::tests::{endpoint, problems_of_endpoint};
use crate::config::parse::{ParsedConfig, load};
use crate::config::presets;
use crate::config::{Effort, Model, Origin, Price};

use super::*;

/// The endpoint with this environment and these files, and what its author should know.
fn loaded(keys: &str, env: &[(&str, &str)], files: &[(&str, &str)]) -> (Endpoint, Vec<String>) {
    let text = format!("[[endpoint]]\nname = \"a\"\n{keys}\n");
    let value = |of: &[(&str, &str)], name: &str| {
        of.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let read = |path: &Path| {
        value(files, path.to_str().expect("text")).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    };
    let ParsedConfig { mut config, warnings } =
        load(&text, &|name| value(env, name), &read).expect("a configuration");
    (config.endpoints.remove(0), warnings.iter().map(ToString::to_string).collect())
}

fn keys_of(endpoint: &Endpoint) -> Vec<&str> {
    endpoint.keys.iter().map(Secret::expose).collect()
}

#[test]
fn a_preset_fills_in_what_the_file_does_not_say() {
    for preset in &presets::PRESETS {
        let named = format!("preset = \"{}\"", preset.name);
        let plain = endpoint(&named);
        assert_eq!((plain.preset, plain.protocol), (Some(preset.name), preset.protocol));
        assert_eq!((plain.base_url.as_str(), plain.login), (preset.base_url, preset.login));
        assert_eq!(
            (&plain.quirks, &plain.profile, plain.repair),
            (&preset.quirks, &preset.profile, preset.repair)
        );
        let models: Vec<&str> = plain.models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(models, preset.models, "{}", preset.name);
        let own = endpoint(&format!(
            "{named}\nprotocol = \"chat\"\nbase_url = \"https://own.test/v1\"\nmodels = [\"own\"]\nrepair = \"assist\"\nlogin = \"none\""
        ));
        assert_eq!((own.protocol, own.base_url.as_str()), (Protocol::Chat, "https://own.test/v1"));
        assert_eq!((own.models.len(), own.repair, own.login), (1, RepairLevel::Assist, None));
    }
}

#[test]
fn without_a_preset_the_usual_holds() {
    let plain = endpoint("");
    assert_eq!((plain.protocol, plain.preset, plain.login), (Protocol::Chat, None, None));
    assert_eq!((plain.retries, plain.resume, plain.repair), (3, 2, RepairLevel::Parse));
    assert_eq!((plain.max_parallel, plain.requests_per_minute), (None, None));
    assert_eq!((plain.timeouts, &plain.quirks), (Timeouts::default(), &Quirks::DEFAULT));
    let responses = endpoint("protocol = \"responses\"");
    assert_eq!(responses.repair, RepairLevel::WhereTranslated, "its own events go through");
    // An agent has no address.
    let spoken = Protocol::NAMES.into_iter().filter(|(_, protocol)| !matches!(protocol, Protocol::Agent(_)));
    for (word, protocol) in spoken {
        assert_eq!(endpoint(&format!("protocol = \"{word}\"")).protocol, protocol);
    }
    for login in Login::ALL {
        assert_eq!(endpoint(&format!("login = \"{}\"", login.name())).login, Some(login));
    }
}

#[test]
fn numbers_are_believed_within_bounds() {
    let most = endpoint("retries = 10\nresume = 0\nmax_parallel = 1\nrequests_per_minute = 4294967295");
    assert_eq!((most.retries, most.resume), (10, 0));
    assert_eq!((most.max_parallel, most.requests_per_minute), (Some(1), Some(u32::MAX)));
    for (key, number, range) in [
        ("retries", "11", "0 to 10"),
        ("resume", "4294967296", "0 to 10"),
        ("max_parallel", "0", "1 to 4294967295"),
        ("max_parallel", "4294967296", "1 to 4294967295"),
        ("requests_per_minute", "0", "1 to 4294967295"),
    ] {
        let found = problems_of_endpoint(&format!("{key} = {number}"));
        let column = key.len() + 4;
        assert_eq!(found, [format!("4:{column}: endpoint[0].{key}: should be from {range}")]);
    }
}

#[test]
fn an_address_is_taken_as_people_paste_it() {
    for pasted in [
        "https://a.test/v1",
        "https://a.test/v1/",
        " https://a.test/v1 ",
        "https://a.test/v1/chat/completions",
        "https://a.test/v1/chat/completions/",
        "https://a.test/v1/responses",
        "https://a.test/v1/messages",
    ] {
        assert_eq!(endpoint(&format!("base_url = \"{pasted}\"")).base_url, "https://a.test/v1", "{pasted}");
    }
}

#[test]
fn an_address_that_names_a_wire_says_what_is_spoken_unless_the_file_does() {
    let protocol = |lines: &str| endpoint(lines).protocol;
    assert_eq!(protocol("base_url = \"https://a.test/v1/messages\""), Protocol::Messages);
    assert_eq!(protocol("base_url = \"https://a.test/v1/responses\""), Protocol::Responses);
    assert_eq!(protocol("base_url = \"https://a.test/v1\""), Protocol::Chat);
    assert_eq!(protocol("base_url = \"https://a.test/v1/messages\"\nprotocol = \"chat\""), Protocol::Chat);
}

#[test]
fn a_key_never_leaves_the_machine_unencrypted_unless_somebody_says_so() {
    for host in ["127.0.0.1:7", "localhost", "[::1]:7", "127.9.9.9"] {
        assert_eq!(
            problems_of_endpoint(&format!("base_url = \"http://{host}/v1\"")),
            [] as [&str; 0],
            "{host}"
        );
    }
    for (url, words) in [
        ("http://a.test/v1", "would send your key unencrypted; use https"),
        ("http://127.0.0.1.a.test", "would send your key unencrypted"),
        ("http://localhost.a.test", "would send your key unencrypted"),
        ("a.test/v1", "should be a URL that begins with https://"),
        ("ftp://a.test", "should be a URL that begins with https://"),
        ("https://", "should be a URL that begins with https://"),
        ("https://me:pw@a.test", "should hold no user name or password"),
        ("https://a.test/v1?key=1", "should hold no query"),
    ] {
        let found = problems_of_endpoint(&format!("base_url = \"{url}\""));
        let place = format!("4:12: endpoint[0].base_url: {words}");
        assert!(matches!(&found[..], [one] if one.starts_with(&place)), "{url}: {found:?}");
    }
    assert_eq!(endpoint("base_url = \"http://a.test\"\nallow_http = true").base_url, "http://a.test");
}

#[test]
fn what_every_endpoint_needs_is_asked_for() {
    let found = crate::config::parse::tests::problems("[[endpoint]]\n");
    assert_eq!(
        found,
        [
            "1:1: endpoint[0].name: is missing; every endpoint needs a name",
            "1:1: endpoint[0].base_url: is missing; give base_url, or a preset that has one",
        ]
    );
    for name in ["", "a/b", "a b", "ä"] {
        let text = format!("[[endpoint]]\nname = \"{name}\"\nbase_url = \"https://a.test\"\n");
        let found = crate::config::parse::tests::problems(&text);
        assert_eq!(
            found,
            ["2:8: endpoint[0].name: should hold letters, digits, `.`, `_` and `-` only"],
            "{name}"
        );
    }
    let found = problems_of_endpoint("preset = \"deepsek\"");
    assert_eq!(
        found,
        ["4:10: endpoint[0].preset: there is no preset of this name; did you mean \"deepseek\"?"]
    );
}

#[test]
fn keys_come_from_three_places_in_the_order_of_the_reference() {
    let keys = "base_url = \"https://a.test\"\napi_key = [\"k1\", \" k2 ,k3\"]\napi_key_env = \"ONE\"\napi_key_file = [\"/keys\"]";
    let (endpoint, warnings) = loaded(keys, &[("ONE", "k4, k5,")], &[("/keys", "k6\n\n k7 \n")]);
    assert_eq!(keys_of(&endpoint), ["k1", "k2", "k3", "k4", "k5", "k6", "k7"]);
    assert_eq!(warnings, [] as [&str; 0]);
}

#[test]
fn a_key_that_is_not_there_is_a_warning_and_no_problem() {
    let keys = "base_url = \"https://a.test\"\napi_key_env = [\"ONE\", \"TWO\"]\napi_key_file = \"/gone\"";
    let (endpoint, warnings) = loaded(keys, &[("ONE", "k1")], &[]);
    assert_eq!(keys_of(&endpoint), ["k1"]);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("4:23: endpoint[0].api_key_env: the environment variable `TWO` is not set")
    );
    assert!(
        warnings[1].starts_with("5:16: endpoint[0].api_key_file: `/gone` cannot be read"),
        "{warnings:?}"
    );
}

#[test]
fn the_presets_variable_is_looked_at_only_where_no_key_is_named() {
    let env = [("DEEPSEEK_API_KEY", "usual"), ("ONE", "own")];
    assert_eq!(keys_of(&loaded("preset = \"deepseek\"", &env, &[]).0), ["usual"]);
    assert_eq!(keys_of(&loaded("preset = \"deepseek\"\napi_key_env = \"ONE\"", &env, &[]).0), ["own"]);
    assert!(loaded("preset = \"deepseek\"\napi_key = []", &env, &[]).0.keys.is_empty(), "none is meant");
}

#[test]
fn a_model_is_a_name_or_a_table() {
    let keys = "models = [\"m\", { id = \"n\", context_window = 7, max_output = 5, reasoning = true, efforts = [\"high\", \"low\"], tools = true, images = false, price = { input = 0.5, cached = 0, output = 15 } }]";
    let models = endpoint(keys).models;
    assert_eq!(models[0], Model::named("m"));
    let price = Price { input: Some(500_000), cached: Some(0), output: Some(15_000_000) };
    let whole = Model {
        id: "n".to_owned(),
        context_window: Some(7),
        max_output: Some(5),
        max_output_origin: Origin::File,
        reasoning: Some(true),
        efforts: vec![Effort::Low, Effort::High],
        images: Some(false),
        tools: Some(true),
        price_origin: Origin::File,
        price,
    };
    assert_eq!(models[1], whole);
    assert_eq!(
        problems_of_endpoint("models = [\"m\", { context_window = 7 }]"),
        ["4:16: endpoint[0].models[1].id: is missing; write { id = \"…\" } or just the name"]
    );
    assert_eq!(
        problems_of_endpoint("models = [{ id = \"m\", max_output = 0 }]"),
        ["4:36: endpoint[0].models[0].max_output: must be at least 1"]
    );
    let found = problems_of_endpoint("models = [{ id = \"m\", price = { input = -1 } }]");
    assert_eq!(
        found,
        ["4:41: endpoint[0].models[0].price.input: should be a number, not negative, and is an integer"]
    );
}

#[test]
fn headers_are_sent_as_they_are_but_for_those_that_are_ours() {
    let own = endpoint("headers = { X-Lab = \"7\", \"anthropic-beta\" = \"a,b\" }");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(own.headers, [pair("X-Lab", "7"), pair("anthropic-beta", "a,b")]);
    for (header, words) in [
        ("Authorization = \"Bearer k\"", "is set by latimer itself; a key goes into api_key_env"),
        ("host = \"a\"", "is set by latimer itself"),
        ("content-length = \"1\"", "is set by latimer itself"),
        ("\"a b\" = \"1\"", "should be a header name and a value without line breaks"),
        ("a = \"1\\n2\"", "should be a header name and a value without line breaks"),
    ] {
        let found = problems_of_endpoint(&format!("headers = {{ {header} }}"));
        assert!(
            matches!(&found[..], [one] if one.starts_with("4:") && one.contains(words)),
            "{header}: {found:?}"
        );
    }
}

#[test]
fn times_are_durations() {
    let own = endpoint("timeouts = { connect = \"1s\", first_byte = \"2m\", idle = \"500ms\" }").timeouts;
    let wanted = Timeouts {
        connect: Duration::from_secs(1),
        first_byte: Duration::from_secs(120),
        idle: Duration::from_millis(500),
        content: Duration::from_secs(2),
    };
    assert_eq!(own, wanted);
    let said = endpoint("timeouts = { idle = \"1s\", content = \"7s\" }").timeouts;
    assert_eq!(said.content, Duration::from_secs(7));
    let found = problems_of_endpoint("timeouts = { idle = \"0s\" }");
    assert!(
        matches!(&found[..], [one] if one.starts_with("4:21: endpoint[0].timeouts.idle: should be a duration above zero")),
        "{found:?}"
    );
}
